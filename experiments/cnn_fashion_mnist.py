"""A convolutional network of fewer than 100 thousand parameters on Fashion-MNIST.

Family: CNN
Task: image classification
Data: Fashion-MNIST 3.0.1 (TFDS), 55,000/5,000/10,000; --offline: scikit-learn's digits, enlarged to 28x28
Published: test accuracy 0.925 with two convolutions and fewer than 100 thousand parameters (zalandoresearch/fashion-mnist README)
"""

from dataclasses import dataclass

import jax.numpy as jnp

import dlcore
from dlcore.analysis.features import learned
from dlcore.bounds import NonNegativeFloat, NonNegativeInt, PositiveInt, Rate
from dlcore.data.sets import images
from dlcore.kernels.augment import random_flip, random_shift
from dlcore.models.apply import apply
from dlcore.models.cnn import CNN, Normalisation
from dlcore.tasks.classification import classification, predicted
from dlcore.train import optim
from dlcore.train.experiment import Experiment, Published
from dlcore.train.step import Objective


@dataclass(frozen=True)
class Config:
    widths: tuple[PositiveInt, ...] = (32, 64, 96)
    hidden: PositiveInt = 128
    norm: Normalisation = "batch"
    dropout: Rate = 0.1
    flip: bool = True
    shift: NonNegativeInt = 1
    optimizer: optim.Kind = "adamw"
    lr: NonNegativeFloat = 3e-3
    decay: NonNegativeFloat = 0.05
    smoothing: Rate = 0.0
    batch: int = 128
    steps: int = 9000
    offline: bool = False


OFFLINE = Config(steps=700, offline=True)
TINY = Config(widths=(4, 8), hidden=8, norm="none", batch=32, steps=6, offline=True)


def build(c: Config) -> Experiment:
    net = CNN(c.widths, c.hidden, classes=10, norm=c.norm, dropout=c.dropout)

    def logits(params, extra, batch, key, train):
        pixels = batch["image"].astype(jnp.float32) / 255
        if train and c.shift:
            pixels = random_shift(key, batch["row"], pixels, c.shift)
        if train and c.flip and not c.offline:  # a mirrored digit is another digit, or none
            pixels = random_flip(key, batch["row"], pixels)
        return apply(net, "net", params, extra, pixels, key=key, train=train, row=batch["row"])

    splits, names = images.splits("fashion_mnist", 55000, c.offline)
    rate = optim.warmup_cosine(c.lr, c.steps, c.steps // 20)
    return Experiment(
        train=splits["train"],
        batch=c.batch,
        steps=c.steps,
        init={"net": lambda key, batch: net.init(key, batch["image"].astype(jnp.float32))},
        objectives={
            "net": Objective(classification(logits, c.smoothing), optim.make(c.optimizer, rate, decay=c.decay, clip=1.0))
        },
        eval={"validation": splits["validation"], "test": splits["test"]},
        sample=lambda state, key: [
            *predicted("Test images", logits, state, splits["test"], names),
            *learned(logits, state, splits["test"], state.params["net"]["Conv_0"]["kernel"]),
        ],
        best="validation/accuracy",
        published=Published("accuracy", 0.925, "fashion-mnist README, two convolutions, fewer than 100 thousand parameters"),
    )


if __name__ == "__main__":
    dlcore.main(__file__)
