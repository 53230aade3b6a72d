"""A feed-forward network on scikit-learn's handwritten digits.

Family: MLP
Task: image classification
Data: scikit-learn's 1,797 digits of 8x8 pixels, 60/20/20; comes with the installation
Published: none for this split; scikit-learn's RBF support vector machine (gamma 0.001) reaches
    0.994
"""

from dataclasses import dataclass

import dlcore
from dlcore.bounds import PositiveInt, Rate
from dlcore.data.sets import embedded
from dlcore.models.mlp import MLP
from dlcore.options import RunOptions
from dlcore.tasks import classification, image_inputs
from dlcore.train import DataSource, Experiment, Model, Objective, Recipe, Splits

RUN = RunOptions(cpu_devices=1)  # several devices would be slower: a step takes a millisecond


@dataclass(frozen=True)
class Config:
    widths: tuple[PositiveInt, ...] = (256, 256)
    dropout: Rate = 0.3
    recipe: Recipe = Recipe("adamw", lr=2e-3, weight_decay=0.05)
    batch: int = 128
    steps: int = 1500


PRESETS = {"tiny": Config(widths=(16,), batch=32, steps=6)}


def data(c: Config, source: DataSource) -> Splits:
    return embedded.load("digits", source)


def build(c: Config, splits: Splits) -> Experiment:
    net = MLP(c.widths, classes=len(splits.facts.classes), dropout=c.dropout)
    model = Model("net", net, inputs=image_inputs.unit)
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(classification.loss(model), c.recipe(c.steps))},
        samples=[classification.samples("Test digits", model, splits.test, splits.facts.classes)],
        predictor=classification.predictor(model, splits.facts),
        best="validation/accuracy",
    )


if __name__ == "__main__":
    dlcore.main(__file__)
