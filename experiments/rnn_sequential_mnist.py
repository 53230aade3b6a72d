"""A recurrent network that reads MNIST as a sequence, optionally permuted.

Family: Recurrent network (Elman, LSTM, GRU)
Task: sequence classification
Data: MNIST 3.0.1 (TFDS), 55,000/5,000/10,000; --offline: scikit-learn's digits at 28x28
Published: 784 pixels: test accuracy 0.962, permuted 0.873, by a GRU of 70 thousand parameters
    (Bai et al. 2018, Table 1)

A sequence has 28 rows, 196 patches of 2x2 pixels, or 784 pixels: --view.
"""

from dataclasses import dataclass

import dlcore
from dlcore.bounds import PositiveInt
from dlcore.data.sets import images
from dlcore.data.sets.images import View
from dlcore.models.rnn import RNN, Cell, Reader
from dlcore.tasks import classification, image_inputs
from dlcore.train import DataSource, Experiment, Model, Objective, Published, Recipe, Splits


@dataclass(frozen=True)
class Config:
    view: View = "rows"
    permuted: bool = False
    cell: Cell = "gru"
    width: PositiveInt = 128
    layers: PositiveInt = 1
    bidirectional: bool = False
    memory: PositiveInt = 28
    recipe: Recipe = Recipe("muon", lr=1e-2, weight_decay=0.05, clip_norm=1.0)
    batch: int = 128
    steps: int = 2500


PRESETS = {
    "patches": Config(view="patches", width=96, memory=196, steps=1200),
    "offline": Config(steps=1000),
    "tiny": Config(width=8, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    return images.load("mnist", source, training=55_000)


def build(c: Config, splits: Splits) -> Experiment:
    classes = splits.facts.classes
    rnn = RNN(c.cell, c.width, c.layers, c.bidirectional, memory=c.memory)
    model = Model(
        "net", Reader(rnn, outputs=len(classes)), inputs=image_inputs.sequence(c.view, c.permuted)
    )
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
