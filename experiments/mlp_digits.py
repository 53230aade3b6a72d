"""A feed-forward network on scikit-learn's handwritten digits.

Family: MLP
Task: image classification
Data: scikit-learn's 1,797 digits of 8x8 pixels, 60/20/20; comes with the installation, so --offline changes nothing
Published: none for this split; scikit-learn's RBF support vector machine (gamma 0.001) reaches 0.994 on it
"""

from dataclasses import dataclass

import jax.numpy as jnp

import dlcore
from dlcore.bounds import NonNegativeFloat, PositiveInt, Rate
from dlcore.data.sets import embedded
from dlcore.models.apply import apply
from dlcore.models.mlp import MLP
from dlcore.options import Flags
from dlcore.tasks.classification import classification, predicted
from dlcore.train import optim
from dlcore.train.experiment import Experiment
from dlcore.train.step import Objective

FLAGS = Flags(cpu_devices=1)  # a step of a millisecond is over before several devices have met


@dataclass(frozen=True)
class Config:
    widths: tuple[PositiveInt, ...] = (256, 256)
    dropout: Rate = 0.3
    lr: NonNegativeFloat = 2e-3
    decay: NonNegativeFloat = 0.05
    batch: int = 128
    steps: int = 1500
    offline: bool = False


TINY = Config(widths=(16,), batch=32, steps=6, offline=True)


def build(c: Config) -> Experiment:
    net = MLP(c.widths, classes=10, dropout=c.dropout)

    def logits(params, extra, batch, key, train):
        pixels = batch["image"].astype(jnp.float32) / 255
        return apply(net, "net", params, extra, pixels, key=key, train=train, row=batch["row"])

    adamw = optim.make("adamw", optim.warmup_cosine(c.lr, c.steps, c.steps // 20), decay=c.decay)
    test = embedded.digits("test")
    return Experiment(
        train=embedded.digits("train"),
        batch=c.batch,
        steps=c.steps,
        init={"net": lambda key, batch: net.init(key, batch["image"])},
        objectives={"net": Objective(classification(logits), adamw)},
        eval={"validation": embedded.digits("validation"), "test": test},
        sample=lambda state, key: predicted("Test digits", logits, state, test),
        best="validation/accuracy",
    )


if __name__ == "__main__":
    dlcore.main(__file__)
