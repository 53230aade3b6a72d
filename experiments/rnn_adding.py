"""Adding two distant numbers: gradients vanish in a plain RNN, and not in gated ones.

Family: Recurrent network (Elman, LSTM, GRU)
Task: regression over long sequences
Data: the adding problem, generated (Hochreiter & Schmidhuber 1997; marks as in Arjovsky et al.
    2016)
Published: none at this length; predicting 1 always has a mean squared error of 1/6. At T=600
    GRU 5.3e-5, LSTM 0.164 (Bai et al. 2018)
"""

from dataclasses import dataclass

import dlcore
from dlcore.analysis import vanishing
from dlcore.bounds import PositiveInt
from dlcore.data.sets import longmemory
from dlcore.models.rnn import RNN, Cell, Reader
from dlcore.tasks import regression
from dlcore.train import DataSource, Experiment, Model, Objective, Recipe, Splits


@dataclass(frozen=True)
class Config:
    cell: Cell = "gru"
    width: PositiveInt = 64
    length: PositiveInt = 200
    memory: PositiveInt = 200
    recipe: Recipe = Recipe("muon", lr=1e-2, clip_norm=1.0)
    batch: int = 64
    steps: int = 1000


PRESETS = {
    "elman": Config(cell="elman"),
    "tiny": Config(width=8, length=20, memory=20, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    return longmemory.load("adding", source, c.length)


def build(c: Config, splits: Splits) -> Experiment:
    def reader(cell, **more):
        return Reader(RNN(cell, c.width, memory=c.memory, **more), outputs=1)

    net = reader(c.cell)
    model = Model(
        "net",
        net,
        inputs=lambda batch, key, train: batch["x"],
        output=lambda y, batch: y[:, 0],
    )
    untrained = {cell: reader(cell) for cell in ("elman", "lstm", "gru")}
    untrained["elman, kernel x 2"] = Reader(RNN("elman", c.width, gain=2.0), outputs=1)
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(regression.loss(model), c.recipe(c.steps))},
        samples=[vanishing.samples({c.cell: net}, untrained, splits.test)],
        best="validation/loss",
    )


if __name__ == "__main__":
    dlcore.main(__file__)
