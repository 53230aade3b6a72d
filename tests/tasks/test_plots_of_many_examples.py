"""Plots with a point of each example show some of them where there are many."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

from dlcore.data.facts import Facts
from dlcore.samples import Series, parts
from dlcore.tasks import cross_validation, diagnosis_samples, tabular

TRUE = np.arange(5.0)
CELLS: Any = SimpleNamespace(target=TRUE, cells=[("a",)] * 5, columns=("A",))
FOLDS: Any = SimpleNamespace(source=SimpleNamespace(arrays={"y": TRUE}))


@pytest.fixture(autouse=True)
def _three_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SERIES_VALUES", 3)


def check(series: Series, name: str) -> None:
    assert series.name == f"{name}, 3 of 5 shown"
    assert (series.x.tolist(), series.y.tolist()) == ([0, 2, 4], [10, 12, 14])


def test_rows_of_a_table() -> None:
    plot: Any = tabular._of_numbers("Rows", Facts(target="mass"), TRUE + 10, CELLS, 2)[-1]
    check(plot.series[0], "rows")


def test_examples_of_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    found = dict.fromkeys(("", "linear_", "ridge_"), TRUE[None] + 10)
    monkeypatch.setattr(cross_validation, "regression_predictions", lambda *_: found)
    nothing: Any = None
    draw = cross_validation.regression_samples("Examples", nothing, FOLDS)
    plot: Any = draw(nothing, jax.random.key(0))[0]
    check(plot.series[0], "examples")


def test_a_roc_curve() -> None:
    p, true = np.linspace(0, 1, 40), np.arange(40) % 4 > 1
    line = diagnosis_samples._roc(p, true, ("healthy", "ill")).series[0]
    assert (line.x[[0, -1]].tolist(), line.y[[0, -1]].tolist(), len(line.x)) == ([0, 1], [0, 1], 3)
    assert line.name.endswith(" shown")
