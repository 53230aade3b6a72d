"""A convolutional network that tells pneumonia in chest X-rays, with calibrated probabilities.

Family: CNN
Task: medical image classification
Data: PneumoniaMNIST, 28x28, with 3,882 of its 4,708 training images (388 of them normal), 524 and
    624; --offline: generated images. Or --data: a folder with a folder of images for each of two
    classes
Published: none for this reduced training set
Headline: test/auc

A temperature is fitted on the validation split during training (Guo et al. 2017). Baselines are
the fraction of pneumonia in training, and a logistic regression on the pixels. The images show
children of one hospital, at a size at which no physician would look: these models are for learning
about methods, and not for diagnosis.
"""

from dataclasses import dataclass

import jax.numpy as jnp

import dlcore
from dlcore.bounds import NonNegativeInt, PositiveInt, Rate
from dlcore.data.sets import diagnoses
from dlcore.models.cnn import CNN
from dlcore.models.temperature import Temperature
from dlcore.options import RunOptions
from dlcore.tasks import classification, diagnosis, diagnosis_samples, image_inputs
from dlcore.train import DataSource, Experiment, Model, Objective, Recipe, Splits

RUN = RunOptions(cpu_devices=1)  # a step is too short for several devices


@dataclass(frozen=True)
class Config:
    widths: tuple[PositiveInt, ...] = (16, 32, 64)
    hidden: PositiveInt = 64
    dropout: Rate = 0.3
    max_shift: NonNegativeInt = 2
    condition: str = ""  # class whose sensitivity is measured; empty: the second (by name)
    balance: bool = True  # weight both classes alike in the loss
    recipe: Recipe = Recipe("adamw", lr=2e-3, weight_decay=0.02)
    temperature: Recipe = Recipe("adam", lr=0.02)
    batch: int = 64
    steps: int = 1500


PRESETS = {
    "offline": Config(steps=400),
    "tiny": Config(widths=(4, 8), hidden=8, dropout=0.1, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    return diagnoses.load("pneumonia_mnist_3882", source, c.condition)


def build(c: Config, splits: Splits) -> Experiment:
    facts = splits.facts
    model = Model("net", CNN(c.widths, c.hidden, 2, "none", c.dropout), image_inputs.signed)
    temperature = Model(
        "temperature",
        Temperature(),
        inputs=lambda batch, key, train: jnp.zeros((len(batch["row"]), 2)),
        unrounded=(0,),
    )
    weights = diagnosis.balanced_weights(facts.class_counts) if c.balance else (1.0, 1.0)
    return Experiment(
        config=c,
        splits=splits,
        models=[model, temperature],
        objectives={
            "net": Objective(diagnosis.loss(model, weights), c.recipe(c.steps)),
            "temperature": Objective(
                diagnosis.temperature_loss(model, temperature), c.temperature(c.steps)
            ),
        },
        augment=diagnosis.shifted(c.max_shift),
        evaluators=diagnosis.evaluators(model, temperature, splits),
        samples=[diagnosis_samples.samples(model, temperature, splits)],
        predictor=classification.predictor(diagnosis.calibrated(model, temperature), facts),
        best="validation/auc",
    )


if __name__ == "__main__":
    dlcore.main(__file__)
