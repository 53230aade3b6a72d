"""Repeating ten symbols after a long delay: a test of the memory of recurrent networks.

Family: Recurrent network (Elman, LSTM, GRU)
Task: sequence to sequence of one length
Data: the copy problem, generated (Hochreiter & Schmidhuber 1997; as in Arjovsky et al. 2016)
Published: none at this length; without memory 10 ln 8 / (T + 20), 0.173 at T=100. At T=1000 LSTM
    0.0204, GRU 0.0197 (Bai et al. 2018)

`recalled` is the fraction of correct symbols in the last ten positions of 1,000 test sequences.
"""

from dataclasses import dataclass

import dlcore
from dlcore.bounds import PositiveInt
from dlcore.data.sets import longmemory
from dlcore.models import char_rnn, rnn
from dlcore.tasks import language_modelling, recall
from dlcore.train import DataSource, Experiment, Model, Objective, Recipe, Splits


@dataclass(frozen=True)
class Config:
    cell: rnn.Cell = "gru"
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
    net = char_rnn.CharRNN(rnn.RNN(c.cell, c.width, memory=c.memory), vocabulary=10)
    model = Model(
        "net",
        net,
        inputs=lambda batch, key, train: batch["tokens"],
        output=lambda y, batch: y[0],  # the logits, without the states
    )
    title = f"After a delay of {c.delay}"
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(language_modelling.loss(model), c.recipe(c.steps))},
        evaluators=[recall.evaluator(model, splits.test, length=10, count=1000)],
        samples=[recall.samples(title, model, splits.test, length=10)],
        best="validation/loss",
    )


if __name__ == "__main__":
    dlcore.main(__file__)
