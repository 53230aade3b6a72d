"""Predictions for rows of a table: equal to the evaluation, and of what training did not see."""

from __future__ import annotations

import csv
import dataclasses
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from sklearn.metrics import log_loss

from dlcore import sharding
from dlcore.data.facts import Facts
from dlcore.data.splits import Splits
from dlcore.data.stream import Stream
from dlcore.errors import UsageError
from dlcore.runs import catalog
from dlcore.samples import Table
from dlcore.tasks import tabular
from dlcore.train.evaluate import LossEvaluation
from dlcore.train.evaluators import Collector
from dlcore.train.experiment import Experiment
from dlcore.train.init import initial
from tests.child import tiny

pytestmark = pytest.mark.slow


def people(folder: Path) -> Path:
    """A table with numbers, categories and missing values, that no rule explains exactly."""
    draw = np.random.default_rng(0)
    path = folder / "people.csv"
    with path.open("w", newline="") as file:
        write = csv.writer(file)
        write.writerow(["age", "colour", "income", "kind"])
        for _ in range(300):
            age, colour = draw.normal(40, 12), draw.choice(["red", "blue", "green, dark"])
            income = 100 * age + 500 * (colour == "red") + draw.normal(0, 300)
            kind = "yes" if draw.normal(income, 500) > 4000 else "no"
            write.writerow([f"{age:.3f}" if draw.random() > 0.1 else "", colour, income, kind])
    return path


class Trained:
    """An untrained state of mlp_table, its evaluation, and its predictor without data."""

    def __init__(self, path: Path, target: str) -> None:
        page = catalog.load(catalog.find("mlp_table"))
        config = dataclasses.replace(tiny("mlp_table"), target=target)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.experiment: Experiment = page.experiment(config, path)
        layout = sharding.layout("jit", "", jax.devices()[:1])
        rows = np.arange(self.experiment.batch)
        first = layout.put(Stream(self.experiment.train, 32, 0, rows).at(0), 32)
        self.state = initial(self.experiment, 0, layout, first)[1]()
        evaluation = LossEvaluation(self.experiment.trained, layout, 32, 0)
        test = self.experiment.splits.test
        (evaluator,) = self.experiment.evaluators
        self.metrics = {
            **evaluation(self.state, test),
            **Collector(layout, 32)(evaluator, self.state, "test"),
        }
        facts = Facts.from_json(self.experiment.splits.facts.to_json())
        self.predictor: Any = page.build(config, Splits.from_facts(facts)).predictor

    def write_test(self, path: Path) -> np.ndarray:
        """The test split as a file; the column of targets."""
        source: Any = self.experiment.splits.test
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([source.columns, *source.cells])
        at = source.columns.index(self.predictor.facts.target)
        return np.array([row[at] for row in source.cells])

    def answers(self, path: Path, size: int = 7) -> list[dict[str, Any]]:
        items = self.predictor.items([path], [])
        batches = [items[i : i + size] for i in range(0, len(items), size)]
        return [a for batch in batches for a, _ in self.predictor.batch(self.state, batch)]


def test_predicted_classes_are_those_of_the_evaluation(tmp_path: Path) -> None:
    trained = Trained(people(tmp_path), "kind")
    true = trained.write_test(tmp_path / "test.csv")
    found = trained.answers(tmp_path / "test.csv")
    right = np.array([answer["class"] for answer in found]) == true
    assert float(right.mean()) == trained.metrics["accuracy"]
    p = np.array([[answer["classes"][name] for name in ("no", "yes")] for answer in found])
    assert log_loss(true == "yes", p) == pytest.approx(trained.metrics["log_loss"], rel=1e-5)
    assert trained.metrics["loss"] == pytest.approx(trained.metrics["log_loss"], rel=1e-5)
    samples = trained.experiment.draw(trained.state, jax.random.key(0))
    table, *_, columns = samples
    assert isinstance(table, Table)
    assert isinstance(columns, Table)
    assert [row[2] for row in table.rows] == [*true[: len(table.rows)]]
    assert dict(columns.rows)["kind"].startswith("the target: 2 classes: no ")  # type: ignore[arg-type, union-attr]


def test_predicted_numbers_are_those_of_the_evaluation(tmp_path: Path) -> None:
    trained = Trained(people(tmp_path), "income")
    true = trained.write_test(tmp_path / "test.csv").astype(np.float64)
    found = np.array([answer["number"] for answer in trained.answers(tmp_path / "test.csv")])
    for name, value in tabular.scores(trained.predictor.facts, found, true).items():
        assert value == trained.metrics[name], name
    assert trained.predictor.line({"number": 1234.5678}) == "income 1234.57"
    *_, plot, columns = trained.experiment.draw(trained.state, jax.random.key(0))
    assert plot.title == "Test rows: income"
    assert columns.title == "Columns"


def test_what_training_did_not_see_is_said(tmp_path: Path) -> None:
    trained = Trained(people(tmp_path), "kind")
    predictor = trained.predictor
    item = predictor.item({"age": None, "colour": "purple", "income": 4000})
    assert item.values == predictor.items([], [",purple,4000"])[0].values
    ((answer, sample),) = predictor.batch(trained.state, [item])
    assert answer["missing"] == ["age"]
    assert answer["unknown"] == {"colour": "purple"}
    assert predictor.line(answer).endswith("; no value of age; colour 'purple' is unknown")
    assert sample.rows == tuple(answer["classes"].items())
    ((answer, _),) = predictor.batch(trained.state, predictor.items([], ["40,red,4000"]))
    assert answer.keys() == {"class", "probability", "classes"}
    with pytest.raises(UsageError, match="the text, line 1: 'old' in column 'age' is no finite"):
        predictor.items([], ["old,red,4000"])
