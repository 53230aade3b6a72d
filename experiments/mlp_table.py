"""A feed-forward network that predicts a column of a table: a class or a number.

Family: MLP
Task: tables (classification and regression)
Data: scikit-learn's Wisconsin diagnostic set, 569 tumours; comes with the installation. Or --data:
    a CSV, TSV or Parquet file, with --target COLUMN
Published: none for this split

Numbers are standardised by the training split, texts are categories. A missing value becomes the
mean or its own category, and is marked by an input. Metrics are compared with those of the most
frequent class, or of the mean.
"""

from dataclasses import dataclass
from typing import Literal

import dlcore
from dlcore.bounds import PositiveInt, Rate
from dlcore.data.own.tables import Task
from dlcore.data.sets import tables
from dlcore.kernels import activations
from dlcore.models.mlp import MLP
from dlcore.options import RunOptions
from dlcore.tasks import tabular, tabular_predictor
from dlcore.train import DataSource, Experiment, Model, Objective, Recipe, Splits

RUN = RunOptions(cpu_devices=1)  # a step is too short for several devices


@dataclass(frozen=True)
class Config:
    target: str = "diagnosis"
    """the column to predict"""
    task: Task = "auto"
    """whether it has classes or numbers (auto: classes if it has texts, or at most ten integers)"""
    widths: tuple[PositiveInt, ...] = (128, 128)
    activation: activations.Name = "gelu"
    norm: Literal["none", "batch", "layer"] = "layer"
    dropout: Rate = 0.2
    recipe: Recipe = Recipe("adamw", lr=2e-3, weight_decay=0.1)
    batch: int = 64
    steps: int = 500


PRESETS = {"tiny": Config(widths=(8,), batch=32, steps=6)}


def data(c: Config, source: DataSource) -> Splits:
    return tables.rows(source, c.target, c.task)


def build(c: Config, splits: Splits) -> Experiment:
    facts = splits.facts
    activation = activations.named(c.activation)
    net = MLP(c.widths, tabular.outputs(facts), c.dropout, activation, c.norm)
    model = Model("net", net, lambda batch, key, train: batch["x"], tabular.output(facts))
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(tabular.loss(model, facts), c.recipe(c.steps))},
        evaluators=tabular.evaluators(model, splits),
        samples=[tabular.samples("Test rows", model, splits)],
        predictor=tabular_predictor.predictor(model, facts, rows=c.batch),
        best="validation/loss",
    )


if __name__ == "__main__":
    dlcore.main(__file__)
