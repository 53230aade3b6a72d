"""Adding two numbers that stand far apart: gradients vanish in a plain recurrent network, and not in gated ones.

Family: Recurrent network (Elman, LSTM, GRU)
Task: regression over long sequences
Data: the adding problem, generated (Hochreiter & Schmidhuber 1997; marks as in Arjovsky et al. 2016)
Published: none at this length; always saying 1 has a mean squared error of 1/6. At T=600 GRU 5.3e-5, LSTM 0.164 (Bai et al. 2018)
"""

from dataclasses import dataclass

import numpy as np

import dlcore
from dlcore.analysis.vanishing import figure
from dlcore.bounds import NonNegativeFloat, PositiveInt
from dlcore.data.sets import longmemory
from dlcore.models.apply import apply
from dlcore.models.rnn import RNN, Cell, Reader
from dlcore.tasks.regression import regression
from dlcore.train import optim
from dlcore.train.experiment import Experiment
from dlcore.train.step import Objective


@dataclass(frozen=True)
class Config:
    cell: Cell = "gru"
    width: PositiveInt = 64
    length: PositiveInt = 200
    memory: PositiveInt = 200
    optimizer: optim.Kind = "muon"
    lr: NonNegativeFloat = 1e-2
    clip: NonNegativeFloat = 1.0
    batch: int = 64
    steps: int = 1000
    offline: bool = False  # the data are generated: it changes nothing


TINY = Config(width=8, length=20, memory=20, batch=32, steps=6, offline=True)


def build(c: Config) -> Experiment:
    net = Reader(RNN(c.cell, c.width, memory=c.memory), outputs=1)
    splits = {split: longmemory.adding(c.length, split, n) for split, n in (("validation", 2000), ("test", 10000))}

    def output(params, extra, batch, key, train):
        y, extra = apply(net, "net", params, extra, batch["x"], key=key, train=train, row=batch["row"])
        return y[:, 0], extra

    def sample(state, key):
        x, y = (splits["test"].gather(np.arange(64))[name] for name in ("x", "target"))
        nets = {cell: Reader(RNN(cell, c.width, memory=c.memory), outputs=1) for cell in ("elman", "lstm", "gru")}
        nets["elman, kernel x 2"] = Reader(RNN("elman", c.width, gain=2.0), outputs=1)
        begun = {f"{name}, at the start": (each, each.init(key, x)["params"]) for name, each in nets.items()}
        return [figure({**begun, f"{c.cell}, trained": (net, state.params["net"])}, x, y)]

    rate = optim.warmup_cosine(c.lr, c.steps, c.steps // 20)
    return Experiment(
        train=longmemory.adding(c.length, "train", 200_000),
        batch=c.batch,
        steps=c.steps,
        init={"net": lambda key, batch: net.init(key, batch["x"])},
        objectives={"net": Objective(regression(output), optim.make(c.optimizer, rate, clip=c.clip))},
        eval=splits,
        sample=sample,
        best="validation/loss",
        inputs=["x"],
    )


if __name__ == "__main__":
    dlcore.main(__file__)
