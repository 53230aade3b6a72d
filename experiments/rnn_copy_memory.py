"""Repeating ten symbols after a long silence: what a state can hold, held against the best that needs no memory.

Family: Recurrent network (Elman, LSTM, GRU)
Task: sequence to sequence of one length
Data: the copy problem, generated (Hochreiter & Schmidhuber 1997; as in Arjovsky et al. 2016)
Published: none at this length; without memory 10 ln 8 / (T + 20), 0.173 at T=100. At T=1000 LSTM 0.0204, GRU 0.0197 (Bai et al. 2018)

`recalled` is the share of right symbols in the last ten places, over the first 1,000 test sequences.
"""

from dataclasses import dataclass

import numpy as np

import dlcore
from dlcore.bounds import NonNegativeFloat, PositiveInt
from dlcore.data.sets import longmemory
from dlcore.metrics.known import Metric
from dlcore.models.apply import apply
from dlcore.models.rnn import RNN, Cell, CharRNN
from dlcore.samples import Table
from dlcore.tasks.language_modelling import next_token
from dlcore.train import optim
from dlcore.train.batched import over
from dlcore.train.experiment import Experiment
from dlcore.train.step import Objective


@dataclass(frozen=True)
class Config:
    cell: Cell = "gru"
    width: PositiveInt = 128
    delay: PositiveInt = 100
    memory: PositiveInt = 150
    optimizer: optim.Kind = "muon"
    lr: NonNegativeFloat = 2e-2
    clip: NonNegativeFloat = 1.0
    batch: int = 64
    steps: int = 3000
    offline: bool = False  # the data are generated: it changes nothing


OFFLINE = Config(steps=800, offline=True)
TINY = Config(width=8, delay=5, memory=20, batch=32, steps=6, offline=True)


def build(c: Config) -> Experiment:
    net = CharRNN(RNN(c.cell, c.width, memory=c.memory), vocabulary=10)
    splits = {split: longmemory.copy(c.delay, split, n) for split, n in (("validation", 1000), ("test", 5000))}

    def logits(params, extra, batch, key, train):
        (y, _), extra = apply(net, "net", params, extra, batch["tokens"], key=key, train=train, row=batch["row"])
        return y, extra

    def answers(state, examples):
        """What is said in the ten last places, what should be, and what was asked."""
        batch = splits["test"].gather(np.arange(examples))
        told = over(lambda tokens: net.apply({"params": state.params["net"]}, tokens)[0][:, -10:].argmax(-1), batch["tokens"])
        return told, batch["targets"][:, -10:]

    def evaluate(state):
        told, right = answers(state, 1000)
        return {"test": {"recalled": float((told == right).mean())}}

    def sample(state, key):
        told, right = answers(state, 8)
        rows = tuple((" ".join(map(str, r)), " ".join(map(str, t))) for r, t in zip(right, told, strict=True))
        return [Table(f"After a delay of {c.delay}", ("asked", "recalled"), rows)]

    rate = optim.warmup_cosine(c.lr, c.steps, c.steps // 20)
    return Experiment(
        train=longmemory.copy(c.delay, "train", 200_000),
        batch=c.batch,
        steps=c.steps,
        init={"net": lambda key, batch: net.init(key, batch["tokens"])},
        objectives={"net": Objective(next_token(logits), optim.make(c.optimizer, rate, clip=c.clip))},
        eval=splits,
        evaluate=evaluate,
        sample=sample,
        best="validation/loss",
        metrics={"recalled": Metric("higher")},
    )


if __name__ == "__main__":
    dlcore.main(__file__)
