"""A residual network on CIFAR-10 that trains on one processor core in ten minutes.

Family: ResNet
Task: image classification
Data: CIFAR-10, 45,000/5,000/10,000, JPEG of quality 90; --offline: scikit-learn's digits (8x8)
Published: test accuracy 0.9125 (ResNet-20, 200 epochs, akamaster/pytorch_resnet_cifar10)

--dataset cifar10 reads the exact training pixels of TFDS. For 94 % on an accelerator (not run
here, after Page 2018): --preset accelerator --dataset cifar10 --precision bf16.
"""

from dataclasses import dataclass, replace

import jax.numpy as jnp

import dlcore
from dlcore.analysis import features
from dlcore.bounds import NonNegativeFloat, NonNegativeInt, PositiveInt, Rate
from dlcore.data.sets import images
from dlcore.data.source import Partnered
from dlcore.models.cnn import Normalisation
from dlcore.models.resnet import Pool, ResNet
from dlcore.tasks import classification, image_augmentation
from dlcore.train import DataSource, Experiment, Model, Objective, Published, Recipe, Splits

SGD = Recipe("sgd", lr=0.1, warmup=0.2, schedule="linear", weight_decay=5e-3)


@dataclass(frozen=True)
class Config:
    dataset: str = "cifar10_jpeg"
    image_side: PositiveInt = 96
    patch: PositiveInt = 2
    stem: PositiveInt = 48
    widths: tuple[PositiveInt, ...] = (80, 160)
    blocks: tuple[PositiveInt, ...] = (1, 1)
    pool: Pool = "before"
    norm: Normalisation = "batch"
    stochastic_depth: Rate = 0.0
    flip: bool = True
    max_shift: NonNegativeInt = 3
    erase: NonNegativeInt = 0
    mixup: NonNegativeFloat = 0.0
    cutmix: NonNegativeFloat = 0.0
    label_smoothing: Rate = 0.1
    recipe: Recipe = SGD
    batch: int = 128
    steps: int = 2800


OFFLINE = Config(flip=False, max_shift=1, steps=700)  # mirrored digits are no digits
NINE_LAYERS = Config(patch=1, stem=64, widths=(128, 256, 512), blocks=(1, 0, 1), pool="after")
TINY = replace(OFFLINE, stem=4, widths=(4,), blocks=(1,), norm="none", stochastic_depth=0.2)
PRESETS = {
    "accelerator": replace(
        NINE_LAYERS, max_shift=4, erase=8, recipe=replace(SGD, lr=0.4), batch=512, steps=2112
    ),
    "offline": OFFLINE,
    "tiny": replace(TINY, cutmix=1.0, recipe=replace(SGD, lr=0.02), batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    sides = {"multiple": 1, "longest": c.image_side}
    splits = images.load(c.dataset, source, 45_000, ("image", "label"), "digits", **sides)
    return replace(splits, train=Partnered(splits.train)) if c.mixup or c.cutmix else splits


def build(c: Config, splits: Splits) -> Experiment:
    shape = (c.stem, c.patch, c.pool, c.norm, c.stochastic_depth)
    net = ResNet(c.widths, c.blocks, len(splits.facts.classes), *shape)
    model = Model("net", net, lambda batch, key, train: batch["image"].astype(jnp.float32) / 64 - 2)
    loss = classification.loss(model, c.label_smoothing)
    mixed = {"mixup": c.mixup, "cutmix": c.cutmix}
    augment = image_augmentation.mixed(flip=c.flip, max_shift=c.max_shift, erase=c.erase, **mixed)
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(loss, c.recipe(c.steps))},
        augment=augment,
        samples=[
            classification.samples("Test images", model, splits.test, splits.facts.classes),
            features.samples(model, splits.test, kernel="net/stem/conv/kernel", patch=c.patch),
        ],
        predictor=classification.predictor(model, splits.facts),
        best="validation/accuracy",
        published=Published("accuracy", 0.9125, "ResNet-20 by akamaster", caveat="second-hand"),
    )


if __name__ == "__main__":
    dlcore.main(__file__)
