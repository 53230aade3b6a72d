"""A feed-forward network on Fashion-MNIST: activation, normalisation, dropout, decay, smoothing and optimizer are flags.

Family: MLP
Task: image classification
Data: Fashion-MNIST 3.0.1 (TFDS), 55,000/5,000/10,000; --offline: scikit-learn's digits, enlarged to 28x28
Published: test accuracy 0.8833 with layers of 256, 128 and 100 (zalandoresearch/fashion-mnist README)
"""

from dataclasses import dataclass

import jax.numpy as jnp

import dlcore
from dlcore.bounds import NonNegativeFloat, NonNegativeInt, PositiveInt, Rate
from dlcore.data.sets import images
from dlcore.kernels import activations
from dlcore.kernels.augment import random_flip, random_shift
from dlcore.models.apply import apply
from dlcore.models.mlp import MLP, Normalisation
from dlcore.tasks.classification import classification, predicted
from dlcore.train import optim
from dlcore.train.experiment import Experiment, Published
from dlcore.train.step import Objective


@dataclass(frozen=True)
class Config:
    widths: tuple[PositiveInt, ...] = (512, 512)
    activation: activations.Name = "relu"
    norm: Normalisation = "batch"
    dropout: Rate = 0.2
    flip: bool = True
    shift: NonNegativeInt = 0
    optimizer: optim.Kind = "adamw"
    lr: NonNegativeFloat = 2e-3
    decay: NonNegativeFloat = 0.05
    smoothing: Rate = 0.1
    batch: int = 256
    steps: int = 6000
    offline: bool = False


OFFLINE = Config(steps=2000, offline=True)
TINY = Config(widths=(16,), norm="layer", batch=32, steps=6, offline=True)


def build(c: Config) -> Experiment:
    net = MLP(c.widths, classes=10, dropout=c.dropout, activation=activations.named(c.activation), norm=c.norm)

    def logits(params, extra, batch, key, train):
        pixels = batch["image"].astype(jnp.float32) / 255 - 0.286  # their mean over Fashion-MNIST's training images
        if train and c.shift:
            pixels = random_shift(key, batch["row"], pixels + 0.286, c.shift) - 0.286
        if train and c.flip and not c.offline:  # a mirrored digit is another digit, or none
            pixels = random_flip(key, batch["row"], pixels)
        return apply(net, "net", params, extra, pixels, key=key, train=train, row=batch["row"])

    splits, names = images.splits("fashion_mnist", 55000, c.offline)
    rate = optim.warmup_cosine(c.lr, c.steps, c.steps // 20)
    optimizer = optim.make(c.optimizer, rate, decay=c.decay, clip=1.0)
    return Experiment(
        train=splits["train"],
        batch=c.batch,
        steps=c.steps,
        init={"net": lambda key, batch: net.init(key, batch["image"].astype(jnp.float32))},
        objectives={"net": Objective(classification(logits, c.smoothing), optimizer)},
        eval={"validation": splits["validation"], "test": splits["test"]},
        sample=lambda state, key: predicted("Test images", logits, state, splits["test"], names),
        best="validation/accuracy",
        published=Published("accuracy", 0.8833, "fashion-mnist README, layers of 256, 128 and 100"),
    )


if __name__ == "__main__":
    dlcore.main(__file__)
