"""A residual network on CIFAR-10 that trains on one processor core in ten minutes.

Family: ResNet
Task: image classification
Data: CIFAR-10 (Krizhevsky 2009), 45,000/5,000/10,000, training images after JPEG of quality 90; --offline: scikit-learn's digits (8x8)
Published: test accuracy 0.9125 by ResNet-20 in 200 epochs (He et al. 2016), 0.9173 repeated (akamaster/pytorch_resnet_cifar10)

Recipe for 94 % on an accelerator, not run here (after the nine layers of Page 2018, "How to train your ResNet": 94 % in 79 s on a
V100); --dataset cifar10 reads TFDS's own set, with the exact training pixels:
--patch 1 --stem 64 --widths 128 256 512 --blocks 1 0 1 --pool after --erase 8 --shift 4 --batch 512 --lr 0.4 --steps 2112 --precision bf16
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

import dlcore
from dlcore.analysis.features import learned
from dlcore.bounds import NonNegativeFloat, NonNegativeInt, PositiveInt, Rate
from dlcore.data import tfds
from dlcore.data.sets import embedded
from dlcore.data.source import Partnered
from dlcore.kernels import augment
from dlcore.models.apply import apply
from dlcore.models.cnn import Normalisation
from dlcore.models.resnet import Pool, ResNet
from dlcore.tasks.classification import augmented, classification, predicted
from dlcore.train import optim
from dlcore.train.experiment import Experiment, Published
from dlcore.train.step import Objective


@dataclass(frozen=True)
class Config:
    dataset: str = "cifar10_jpeg"
    stem: PositiveInt = 48
    patch: PositiveInt = 2
    widths: tuple[PositiveInt, ...] = (80, 160)
    blocks: tuple[PositiveInt, ...] = (1, 1)
    pool: Pool = "before"
    norm: Normalisation = "batch"
    drop: Rate = 0.0
    flip: bool = True
    shift: NonNegativeInt = 3
    erase: NonNegativeInt = 0
    mixup: NonNegativeFloat = 0.0
    cutmix: NonNegativeFloat = 0.0
    optimizer: optim.Kind = "sgd"
    lr: NonNegativeFloat = 0.1
    decay: NonNegativeFloat = 5e-3
    smoothing: Rate = 0.1
    batch: int = 128
    steps: int = 2800
    offline: bool = False


OFFLINE = Config(steps=700, offline=True)
TINY = Config(stem=4, widths=(4,), blocks=(1,), norm="none", drop=0.2, cutmix=1.0, lr=0.02, batch=32, steps=6, offline=True)


def build(c: Config) -> Experiment:
    net = ResNet(c.widths, c.blocks, 10, c.stem, c.patch, c.pool, c.norm, c.drop)
    if c.mixup and c.cutmix:
        raise ValueError("mixup and cutmix are two ways to mix: choose one")
    shift = min(c.shift, 1) if c.offline else c.shift  # of 8 pixels, not of 32

    def view(images, key, row):
        if c.flip and not c.offline:  # a mirrored digit is another digit, or none
            images = augment.random_flip(jax.random.fold_in(key, 0), row, images)
        if shift:
            images = augment.random_shift(jax.random.fold_in(key, 1), row, images, shift)
        return augment.random_erase(jax.random.fold_in(key, 2), row, images, c.erase) if c.erase else images

    def change(batch, key):
        image = view(batch["image"], jax.random.fold_in(key, 0), batch["row"])
        if not (c.mixup or c.cutmix):
            return {**batch, "image": image}
        partner = view(batch["partner_image"], jax.random.fold_in(key, 1), batch["row"]).astype(jnp.float32)
        mix, alpha = (augment.mixup, c.mixup) if c.mixup else (augment.cutmix, c.cutmix)
        image, share = mix(jax.random.fold_in(key, 2), batch["row"], image.astype(jnp.float32), partner, alpha)
        return {**batch, "image": image, "share": share}

    def logits(params, extra, batch, key, train):
        pixels = batch["image"].astype(jnp.float32) / 64 - 2
        return apply(net, "net", params, extra, pixels, key=key, train=train, row=batch["row"])

    def sample(state, key):
        stem = state.params["net"]["stem"]["conv"]["kernel"]
        seen = predicted("Test images", logits, state, splits["test"], names)
        return [*seen, *learned(logits, state, splits["test"], stem, c.patch)]

    if c.offline:
        names = tuple("0123456789")
        splits = {split: embedded.digits(split) for split in ("train", "validation", "test")}
    else:
        parts = {"train": "train[:45000]", "validation": "train[45000:]", "test": "test"}
        names = tfds.class_names(c.dataset)
        splits = {split: tfds.load(c.dataset, part, features=("image", "label")) for split, part in parts.items()}
    rate = optim.warmup_linear(c.lr, c.steps, c.steps // 5)
    optimizer = optim.make(c.optimizer, rate, decay=c.decay)
    return Experiment(
        train=Partnered(splits["train"]) if c.mixup or c.cutmix else splits["train"],
        batch=c.batch,
        steps=c.steps,
        init={"net": lambda key, batch: net.init(key, batch["image"].astype(jnp.float32))},
        objectives={"net": Objective(augmented(classification(logits, c.smoothing), change), optimizer)},
        eval={"validation": splits["validation"], "test": splits["test"]},
        sample=sample,
        best="validation/accuracy",
        published=Published("accuracy", 0.9125, "ResNet-20 in 200 epochs, akamaster/pytorch_resnet_cifar10's README"),
    )


if __name__ == "__main__":
    dlcore.main(__file__)
