"""A small convolutional network on MNIST: three convolutions, a hidden layer that sees every place, 426 thousand parameters.

Family: CNN
Task: image classification
Data: MNIST 3.0.1 (TFDS), 55,000/5,000/10,000; --offline: scikit-learn's digits, enlarged to 28x28
Published: test accuracy 0.9917 (google/flax examples/mnist README)
"""

from dataclasses import dataclass

import jax.numpy as jnp

import dlcore
from dlcore.bounds import NonNegativeFloat, NonNegativeInt, PositiveInt, Rate
from dlcore.data.sets import images
from dlcore.kernels.augment import random_shift
from dlcore.models.apply import apply
from dlcore.models.cnn import CNN, Normalisation, Readout
from dlcore.tasks.classification import classification, predicted
from dlcore.train import optim
from dlcore.train.experiment import Experiment, Published
from dlcore.train.step import Objective


@dataclass(frozen=True)
class Config:
    widths: tuple[PositiveInt, ...] = (16, 32, 64)
    hidden: PositiveInt = 128
    norm: Normalisation = "batch"
    readout: Readout = "flat"
    dropout: Rate = 0.1
    shift: NonNegativeInt = 2
    optimizer: optim.Kind = "adamw"
    lr: NonNegativeFloat = 5e-3
    decay: NonNegativeFloat = 0.05
    smoothing: Rate = 0.0
    batch: int = 128
    steps: int = 2200
    offline: bool = False


OFFLINE = Config(steps=1000, offline=True)
TINY = Config(widths=(4, 8), hidden=8, norm="none", batch=32, steps=6, offline=True)


def build(c: Config) -> Experiment:
    net = CNN(c.widths, c.hidden, classes=10, norm=c.norm, dropout=c.dropout, readout=c.readout)

    def logits(params, extra, batch, key, train):
        pixels = batch["image"].astype(jnp.float32) / 255
        if train and c.shift:
            pixels = random_shift(key, batch["row"], pixels, c.shift)
        return apply(net, "net", params, extra, pixels, key=key, train=train, row=batch["row"])

    splits, _ = images.splits("mnist", 55000, c.offline)
    rate = optim.warmup_cosine(c.lr, c.steps, c.steps // 20)
    optimizer = optim.make(c.optimizer, rate, decay=c.decay, clip=1.0)
    return Experiment(
        train=splits["train"],
        batch=c.batch,
        steps=c.steps,
        init={"net": lambda key, batch: net.init(key, batch["image"].astype(jnp.float32))},
        objectives={"net": Objective(classification(logits, c.smoothing), optimizer)},
        eval={"validation": splits["validation"], "test": splits["test"]},
        sample=lambda state, key: predicted("Test digits", logits, state, splits["test"]),
        best="validation/accuracy",
        published=Published("accuracy", 0.9917, "google/flax examples/mnist README"),
    )


if __name__ == "__main__":
    dlcore.main(__file__)
