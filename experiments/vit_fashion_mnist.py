"""A vision Transformer on Fashion-MNIST, from scratch and small enough for one processor core.

Family: Transformer encoder (ViT)
Task: image classification
Data: Fashion-MNIST 3.0.1 (TFDS), 55,000/5,000/10,000; --offline: scikit-learn's digits (8x8) in patches of 4
Published: none for a small ViT; two convolutions reach test accuracy 0.925 (zalandoresearch/fashion-mnist README)
"""

from dataclasses import dataclass

import jax.numpy as jnp

import dlcore
from dlcore.analysis.features import learned
from dlcore.bounds import NonNegativeFloat, NonNegativeInt, PositiveInt, Rate
from dlcore.data import tfds
from dlcore.data.sets import embedded
from dlcore.kernels.augment import random_flip, random_shift
from dlcore.models.apply import apply
from dlcore.models.vit import TENSOR, Size, ViT
from dlcore.tasks.classification import classification, predicted
from dlcore.train import optim
from dlcore.train.experiment import Experiment
from dlcore.train.step import Objective


@dataclass(frozen=True)
class Config:
    patch: PositiveInt = 7
    layers: PositiveInt = 4
    heads: PositiveInt = 4
    width: PositiveInt = 96
    dropout: Rate = 0.0
    flip: bool = True
    shift: NonNegativeInt = 1
    optimizer: optim.Kind = "muon"
    lr: NonNegativeFloat = 4e-3
    decay: NonNegativeFloat = 0.05
    smoothing: Rate = 0.0
    batch: int = 128
    steps: int = 2500
    offline: bool = False


OFFLINE = Config(steps=500, offline=True)
TINY = Config(layers=1, heads=2, width=8, batch=32, steps=6, offline=True)


def build(c: Config) -> Experiment:
    side, patch = (8, 4) if c.offline else (28, c.patch)
    size = Size(c.layers, c.heads, c.width, context=(side // patch) ** 2, positions="learned", dropout=c.dropout)
    net = ViT(size, patch, classes=10)

    def logits(params, extra, batch, key, train):
        pixels = batch["image"]
        if train and c.shift:
            pixels = random_shift(key, batch["row"], pixels, c.shift)
        if train and c.flip and not c.offline:  # a mirrored digit is another digit, or none
            pixels = random_flip(key, batch["row"], pixels)
        pixels = pixels.astype(jnp.float32) / 127.5 - 1
        return apply(net, "net", params, extra, pixels, key=key, train=train, row=batch["row"])

    def sample(state, key):
        embed = state.params["net"]["embed"]["kernel"]
        seen = predicted("Test images", logits, state, splits["test"], names)
        return [*seen, *learned(logits, state, splits["test"], embed, patch)]

    if c.offline:
        names = tuple("0123456789")
        splits = {split: embedded.digits(split) for split in ("train", "validation", "test")}
    else:
        parts = {"train": "train[:55000]", "validation": "train[55000:]", "test": "test"}
        names = tfds.class_names("fashion_mnist")
        splits = {split: tfds.load("fashion_mnist", part) for split, part in parts.items()}
    rate = optim.warmup_cosine(c.lr, c.steps, c.steps // 20)
    optimizer = optim.make(c.optimizer, rate, decay=c.decay, clip=1.0)
    return Experiment(
        train=splits["train"],
        batch=c.batch,
        steps=c.steps,
        init={"net": lambda key, batch: net.init(key, batch["image"].astype(jnp.float32))},
        objectives={"net": Objective(classification(logits, c.smoothing), optimizer)},
        eval={"validation": splits["validation"], "test": splits["test"]},
        sample=sample,
        best="validation/accuracy",
        tensor=TENSOR,
    )


if __name__ == "__main__":
    dlcore.main(__file__)
