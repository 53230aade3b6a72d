"""A small vision Transformer on Fashion-MNIST, trained from scratch on one processor core.

Family: Transformer encoder (ViT)
Task: image classification
Data: Fashion-MNIST 3.0.1 (TFDS), 55,000/5,000/10,000; --offline: scikit-learn's digits (8x8)
Published: none for a small ViT; two convolutions reach test accuracy 0.925
    (zalandoresearch/fashion-mnist README)
"""

from dataclasses import dataclass

import dlcore
from dlcore.analysis import features
from dlcore.bounds import NonNegativeInt, PositiveInt, Rate
from dlcore.data.sets import images
from dlcore.models.vit import TENSOR, Size, ViT
from dlcore.tasks import classification, image_augmentation, image_inputs
from dlcore.train import DataSource, Experiment, Model, Objective, Recipe, Splits


@dataclass(frozen=True)
class Config:
    patch: PositiveInt = 7
    layers: PositiveInt = 4
    heads: PositiveInt = 4
    width: PositiveInt = 96
    dropout: Rate = 0.0
    flip: bool = True
    max_shift: NonNegativeInt = 1
    label_smoothing: Rate = 0.0
    recipe: Recipe = Recipe("muon", lr=4e-3, weight_decay=0.05, clip_norm=1.0)
    batch: int = 128
    steps: int = 2500


PRESETS = {
    "offline": Config(patch=4, flip=False, steps=500),  # mirrored digits are no digits
    "tiny": Config(patch=4, layers=1, heads=2, width=8, flip=False, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    return images.load("fashion_mnist", source, training=55_000, offline="digits", multiple=c.patch)


def build(c: Config, splits: Splits) -> Experiment:
    classes = splits.facts.classes
    height, width, _ = splits.facts.fields["image"]["shape"]
    patches = (height // c.patch) * (width // c.patch)
    size = Size(c.layers, c.heads, c.width, patches, positions="learned", dropout=c.dropout)

    model = Model("net", ViT(size, c.patch, len(classes)), inputs=image_inputs.signed)
    loss = classification.loss(model, c.label_smoothing)
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(loss, c.recipe(c.steps))},
        augment=image_augmentation.shift_and_flip(c.max_shift, c.flip),
        samples=[
            classification.samples("Test images", model, splits.test, classes),
            features.samples(model, splits.test, "net/embed/kernel", c.patch),
        ],
        predictor=classification.predictor(model, splits.facts),
        best="validation/accuracy",
        tensor_parallel=TENSOR,
    )


if __name__ == "__main__":
    dlcore.main(__file__)
