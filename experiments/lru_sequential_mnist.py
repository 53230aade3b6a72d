"""Linear recurrent units read the 784 pixels of MNIST one by one: a long memory without gates, scanned in parallel.

Family: Linear recurrent unit (diagonal state-space model)
Task: sequence classification
Data: MNIST 3.0.1 (TFDS), 55,000/5,000/10,000; --offline: scikit-learn's digits, enlarged to 28x28
Published: 784 pixels: test accuracy 0.962, permuted 0.873, by a GRU of 70 thousand parameters (Bai et al. 2018, Table 1)
"""

from dataclasses import dataclass
from typing import Annotated

import jax.numpy as jnp

import dlcore
from dlcore.bounds import NonNegativeFloat, PositiveFloat, PositiveInt, Range, Rate
from dlcore.data.sets import images
from dlcore.data.sets.images import View, as_sequence, permutation
from dlcore.models.apply import apply
from dlcore.models.lru import Classifier
from dlcore.options import Flags
from dlcore.tasks.classification import classification, predicted
from dlcore.train import optim
from dlcore.train.experiment import Experiment, Published
from dlcore.train.step import Objective

FLAGS = Flags(eval_every=500)  # an evaluation costs as much as a hundred steps


@dataclass(frozen=True)
class Config:
    view: View = "pixels"
    permuted: bool = False
    width: PositiveInt = 48
    states: PositiveInt = 48
    layers: PositiveInt = 3
    least: Annotated[float, Range(0, 1, "()")] = 0.9
    most: Annotated[float, Range(0, 1, "()")] = 0.999
    turn: PositiveFloat = 0.6
    dropout: Rate = 0.0
    optimizer: optim.Kind = "adamw"
    lr: NonNegativeFloat = 4e-3
    decay: NonNegativeFloat = 0.05
    batch: int = 50
    steps: int = 1000
    offline: bool = False


OFFLINE = Config(view="patches", steps=300, offline=True)
TINY = Config(view="rows", width=8, states=8, layers=1, batch=32, steps=6, offline=True)


def build(c: Config) -> Experiment:
    net = Classifier(c.width, c.states, c.layers, 10, c.dropout, c.least, c.most, c.turn)
    order = permutation(c.view) if c.permuted else None

    def logits(params, extra, batch, key, train):
        pieces = as_sequence(batch["image"].astype(jnp.float32) / 255, c.view, order)
        return apply(net, "net", params, extra, pieces, key=key, train=train, row=batch["row"])

    splits, _ = images.splits("mnist", 55000, c.offline)
    rate = optim.warmup_cosine(c.lr, c.steps, c.steps // 20)
    optimizer = optim.make(c.optimizer, rate, decay=c.decay, clip=1.0)
    published = Published("accuracy", 0.873 if c.permuted else 0.962, "Bai et al. 2018, Table 1, a GRU of 70 thousand parameters")
    return Experiment(
        train=splits["train"],
        batch=c.batch,
        steps=c.steps,
        init={"net": lambda key, batch: net.init(key, as_sequence(batch["image"].astype(jnp.float32), c.view))},
        objectives={"net": Objective(classification(logits), optimizer)},
        eval={"validation": splits["validation"], "test": splits["test"]},
        sample=lambda state, key: predicted("Test images", logits, state, splits["test"]),
        best="validation/accuracy",
        published=published if c.view == "pixels" else None,
    )


if __name__ == "__main__":
    dlcore.main(__file__)
