"""A small convolutional network on photographs, which are read when a batch needs them.

Family: CNN
Task: image classification
Data: a folder of images by class (--data)
Published: none
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dlcore.bounds import PositiveInt
from dlcore.data import pictures
from dlcore.data.own import image_files
from dlcore.models.cnn import CNN
from dlcore.options import DataSource
from dlcore.tasks import classification, image_inputs
from dlcore.train import Experiment, Model, Objective, Recipe, Splits


@dataclass(frozen=True)
class Config:
    size: PositiveInt = 32
    widths: tuple[PositiveInt, ...] = (8, 16)
    recipe: Recipe = Recipe("adamw", lr=3e-3)
    batch: int = 32
    steps: int = 60


def augmented(size, example, random):
    image = pictures.random_resized_crop(example["image"], random, size)
    return {**example, "image": pictures.random_flip(image, random)}


def data(c: Config, source: DataSource) -> Splits:
    def prepared(example):
        return {**example, "image": pictures.centre_crop(example["image"], c.size)}

    return image_files.load(Path(str(source)), partial(augmented, c.size), prepared)


def build(c: Config, splits: Splits) -> Experiment:
    net = CNN(c.widths, 16, len(splits.facts.classes), "batch")
    model = Model("net", net, inputs=image_inputs.unit)
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(classification.loss(model), c.recipe(c.steps))},
        best="validation/accuracy",
    )
