"""Linear recurrent units on the 784 pixels of MNIST: a long memory without gates.

Family: Linear recurrent unit (diagonal state-space model)
Task: sequence classification
Data: MNIST 3.0.1 (TFDS), 55,000/5,000/10,000; --offline: scikit-learn's digits at 28x28
Published: pixels: test accuracy 0.962, permuted 0.873, a GRU (Bai et al. 2018, Table 1)
"""

from dataclasses import dataclass
from typing import Annotated

import dlcore
from dlcore.bounds import PositiveFloat, PositiveInt, Range, Rate
from dlcore.data.sets import images
from dlcore.data.sets.images import View
from dlcore.models.lru import Classifier
from dlcore.options import RunOptions
from dlcore.tasks import classification, image_inputs
from dlcore.train import DataSource, Experiment, Model, Objective, Published, Recipe, Splits

RUN = RunOptions(eval_every=500)  # an evaluation takes as long as 100 steps


@dataclass(frozen=True)
class Config:
    view: View = "pixels"
    permuted: bool = False
    width: PositiveInt = 48
    states: PositiveInt = 48
    layers: PositiveInt = 3
    min_radius: Annotated[float, Range(0, 1, "()")] = 0.9  # of the initial eigenvalues
    max_radius: Annotated[float, Range(0, 1, "()")] = 0.999
    max_phase: PositiveFloat = 0.6
    dropout: Rate = 0.0
    recipe: Recipe = Recipe("adamw", lr=4e-3, weight_decay=0.05, clip_norm=1.0)
    batch: int = 50
    steps: int = 1000


PRESETS = {
    "offline": Config(view="patches", steps=300),
    "tiny": Config(view="rows", width=8, states=8, layers=1, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    return images.load("mnist", source, training=55_000)


def build(c: Config, splits: Splits) -> Experiment:
    classes = splits.facts.classes
    # The recurrence is an associative scan.
    eigenvalues = (c.min_radius, c.max_radius, c.max_phase)
    net = Classifier(c.width, c.states, c.layers, len(classes), c.dropout, *eigenvalues)
    model = Model("net", net, inputs=image_inputs.sequence(c.view, c.permuted))
    accuracy = 0.873 if c.permuted else 0.962
    published = Published("accuracy", accuracy, "Bai et al. 2018, Table 1, a GRU")
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(classification.loss(model), c.recipe(c.steps))},
        samples=[classification.samples("Test images", model, splits.test, classes)],
        predictor=classification.predictor(model, splits.facts),
        best="validation/accuracy",
        published=published if c.view == "pixels" else None,
    )


if __name__ == "__main__":
    dlcore.main(__file__)
