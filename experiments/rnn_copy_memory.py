"""Repeating ten symbols after a long delay: a test of the memory of recurrent networks.

Family: Recurrent network (Elman, LSTM, GRU)
Task: sequence to sequence of one length
Data: the copy problem, generated (Hochreiter & Schmidhuber 1997; as in Arjovsky et al. 2016)
Published: none at this length; without memory 10 ln 8 / (T + 20), 0.173 at T=100. At T=1000 LSTM
    0.0204, GRU 0.0197 (Bai et al. 2018)

`recalled` is the fraction of correct symbols in the last ten positions of 1,000 test sequences.
"""

from dataclasses import dataclass

import numpy as np

import dlcore
from dlcore.bounds import PositiveInt
from dlcore.data.sets import longmemory
from dlcore.data.source import first
from dlcore.metrics.known import Metric
from dlcore.models.rnn import RNN, Cell, CharRNN
from dlcore.samples import Table
from dlcore.tasks import language_modelling
from dlcore.train import DataSource, Experiment, Model, Objective, Recipe, Scored, Splits


@dataclass(frozen=True)
class Config:
    cell: Cell = "gru"
    width: PositiveInt = 128
    delay: PositiveInt = 100
    memory: PositiveInt = 150
    recipe: Recipe = Recipe("muon", lr=2e-2, clip_norm=1.0)
    batch: int = 64
    steps: int = 3000


PRESETS = {
    "elman": Config(cell="elman"),
    "lstm": Config(cell="lstm"),
    "offline": Config(steps=800),
    "tiny": Config(width=8, delay=5, memory=20, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    return longmemory.load("copy", source, c.delay)


def build(c: Config, splits: Splits) -> Experiment:
    net = CharRNN(RNN(c.cell, c.width, memory=c.memory), vocabulary=10)
    model = Model(
        "net",
        net,
        inputs=lambda batch, key, train: batch["tokens"],
        output=lambda y, batch: y[0],  # the logits, without the states
    )

    def last_ten(state, batch):
        logits = model(state.params, state.extra, batch, None, False)[0]
        return {"recalled": logits[:, -10:].argmax(-1), "target": batch["targets"][:, -10:]}

    def recalled(collected, split):
        return {"recalled": float((collected["recalled"] == collected["target"]).mean())}

    def sample(state, key):
        found = last_ten(state, splits.test.gather(np.arange(8)))
        rows = zip(found["target"].tolist(), found["recalled"].tolist(), strict=True)
        cells = tuple((" ".join(map(str, a)), " ".join(map(str, b))) for a, b in rows)
        return Table(f"After a delay of {c.delay}", ("target", "recalled"), cells)

    tested = {"test": first(splits.test, 1000)}
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(language_modelling.loss(model), c.recipe(c.steps))},
        evaluators=[Scored(tested, last_ten, recalled, {"recalled": Metric("higher")}, "end")],
        samples=[sample],
        best="validation/loss",
    )


if __name__ == "__main__":
    dlcore.main(__file__)
