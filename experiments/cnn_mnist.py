"""A convolutional network on MNIST: three convolutions and a hidden layer, 426,234 parameters.

Family: CNN
Task: image classification
Data: MNIST 3.0.1 (TFDS), 55,000/5,000/10,000; --offline: scikit-learn's digits at 28x28
Published: test accuracy 0.9917 (google/flax examples/mnist README)
"""

from dataclasses import dataclass

import dlcore
from dlcore.bounds import NonNegativeInt, PositiveInt, Rate
from dlcore.data.sets import images
from dlcore.models.cnn import CNN, Normalisation, Readout
from dlcore.tasks import classification, image_augmentation, image_inputs
from dlcore.train import DataSource, Experiment, Model, Objective, Published, Recipe, Splits


@dataclass(frozen=True)
class Config:
    widths: tuple[PositiveInt, ...] = (16, 32, 64)
    hidden: PositiveInt = 128
    norm: Normalisation = "batch"
    readout: Readout = "flat"
    dropout: Rate = 0.1
    max_shift: NonNegativeInt = 2
    label_smoothing: Rate = 0.0
    recipe: Recipe = Recipe("adamw", lr=5e-3, weight_decay=0.05, clip_norm=1.0)
    batch: int = 128
    steps: int = 2200


PRESETS = {
    "offline": Config(steps=1000),
    "tiny": Config(widths=(4, 8), hidden=8, norm="none", batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    return images.load("mnist", source, 55_000, multiple=2 ** (len(c.widths) - 1))


def build(c: Config, splits: Splits) -> Experiment:
    classes = splits.facts.classes

    net = CNN(c.widths, c.hidden, len(classes), c.norm, dropout=c.dropout, readout=c.readout)
    model = Model("net", net, inputs=image_inputs.unit)
    loss = classification.loss(model, c.label_smoothing)
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(loss, c.recipe(c.steps))},
        augment=image_augmentation.shift_and_flip(c.max_shift, flip=False),
        samples=[classification.samples("Test digits", model, splits.test, classes)],
        predictor=classification.predictor(model, splits.facts),
        best="validation/accuracy",
        published=Published("accuracy", 0.9917, "google/flax examples/mnist README"),
    )


if __name__ == "__main__":
    dlcore.main(__file__)
