"""A convolutional network of fewer than 100 thousand parameters on Fashion-MNIST.

Family: CNN
Task: image classification
Data: Fashion-MNIST 3.0.1 (TFDS), 55,000/5,000/10,000; --offline: scikit-learn's digits at 28x28
Published: test accuracy 0.925, two convolutions, below 100 thousand parameters (its README)
"""

from dataclasses import dataclass

import dlcore
from dlcore.analysis import features
from dlcore.bounds import NonNegativeInt, PositiveInt, Rate
from dlcore.data.sets import images
from dlcore.models.cnn import CNN, Normalisation
from dlcore.tasks import classification, image_augmentation, image_inputs
from dlcore.train import DataSource, Experiment, Model, Objective, Published, Recipe, Splits


@dataclass(frozen=True)
class Config:
    widths: tuple[PositiveInt, ...] = (32, 64, 96)
    hidden: PositiveInt = 128
    norm: Normalisation = "batch"
    dropout: Rate = 0.1
    flip: bool = True
    max_shift: NonNegativeInt = 1
    label_smoothing: Rate = 0.0
    recipe: Recipe = Recipe("adamw", lr=3e-3, weight_decay=0.05, clip_norm=1.0)
    batch: int = 128
    steps: int = 9000


PRESETS = {
    "offline": Config(flip=False, steps=700),  # mirrored digits are no digits
    "tiny": Config(widths=(4, 8), hidden=8, norm="none", flip=False, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    return images.load("fashion_mnist", source, 55_000, multiple=2 ** (len(c.widths) - 1))


def build(c: Config, splits: Splits) -> Experiment:
    classes = splits.facts.classes

    net = CNN(c.widths, c.hidden, classes=len(classes), norm=c.norm, dropout=c.dropout)
    model = Model("net", net, inputs=image_inputs.unit)
    loss = classification.loss(model, c.label_smoothing)
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(loss, c.recipe(c.steps))},
        augment=image_augmentation.shift_and_flip(c.max_shift, c.flip),
        samples=[
            classification.samples("Test images", model, splits.test, classes),
            features.samples(model, splits.test, kernel="net/Conv_0/kernel"),
        ],
        predictor=classification.predictor(model, splits.facts),
        best="validation/accuracy",
        published=Published("accuracy", 0.925, "fashion-mnist README, two convolutions"),
    )


if __name__ == "__main__":
    dlcore.main(__file__)
