"""The networks of all folds answer together: by their mean, which is said."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.data.facts import Facts
from dlcore.data.sets import tables
from dlcore.data.splits import Splits
from dlcore.errors import UsageError
from dlcore.runs import catalog
from dlcore.tasks import cross_validation
from dlcore.train.step import State
from tests.child import built, tiny

ROWS = 5


def opened(name: str, folder: Path) -> tuple[np.ndarray, Any, State, Path]:
    """The outputs of two untrained networks for the first rows [networks, rows]; the predictor
    without the data, the state, and the rows as a file.
    """
    whole = built(name)
    x = whole.train.gather(np.arange(ROWS))["x"]
    params = whole.models[0].init(jax.random.key(1), {"x": x})["params"]
    state = State(jnp.zeros((), jnp.int32), {"nets": params}, {}, {})
    folds = tables.folds_of(whole.splits)
    outputs = cross_validation.outputs(whole.models[0], folds, state)[:, :ROWS]
    facts = Facts.from_json(whole.splits.facts.to_json())
    page = catalog.load(catalog.find(name))
    predictor = page.build(tiny(name), Splits.from_facts(facts)).predictor
    path = folder / "rows.csv"
    with path.open("w", newline="") as file:
        # in another order, beside a column that is not read
        names = [*reversed(facts.features), "more"]
        csv.writer(file).writerows([names, *([*row[::-1], "?"] for row in x.tolist())])
    return outputs, predictor, state, path


@pytest.mark.slow
def test_a_class_is_that_of_the_mean_probability(tmp_path: Path) -> None:
    outputs, predictor, state, path = opened("mlp_breast_cancer", tmp_path)
    items = predictor.items([path], [])
    found = [answer for answer, _ in predictor.batch(state, items)]
    each = 1 / (1 + np.exp(-outputs))
    assert np.ptp(each, axis=0).min() > 0  # the networks differ
    p = [answer["classes"]["malignant"] for answer in found]
    np.testing.assert_allclose(p, each.mean(0), atol=1e-5)
    np.testing.assert_allclose([a["deviation"] for a in found], each.std(0), atol=1e-5)
    assert {answer["networks"] for answer in found} == {2}
    for answer in found:
        likely = "malignant" if answer["classes"]["malignant"] > 0.5 else "benign"
        assert answer["class"] == likely
    deviation = f"{found[0]['deviation']:.1%}"
    assert predictor.line(found[0]).endswith(f"; the mean of 2 networks, deviation {deviation}")


@pytest.mark.slow
def test_a_number_is_the_mean_in_the_unit_of_the_target(tmp_path: Path) -> None:
    outputs, predictor, state, path = opened("mlp_diabetes", tmp_path)
    folds = predictor.folds
    each = outputs * folds.y_scale[:, None] + folds.y_centre[:, None]
    answers = predictor.batch(state, predictor.items([path], []))
    np.testing.assert_allclose([a["number"] for a, _ in answers], each.mean(0), rtol=1e-5)
    answer, sample = answers[0]
    assert sample.title.endswith("rows.csv, line 2: the mean of 2 networks")
    assert predictor.line(answer).startswith(f"{answer['number']:.6g}; the mean of 2 networks")
    row = dict.fromkeys(predictor.facts.features, 1.5)
    assert predictor.item(row) == predictor.items([], [",".join(["1.5"] * 10)])[0]._replace(
        where="the row"
    )
    with pytest.raises(UsageError, match="the row: 'nothing' in column 'bmi' is no finite number"):
        predictor.batch(state, [predictor.item({**row, "bmi": None})])
    with pytest.raises(UsageError, match=r"line 1: 1e\+39 in column 'age' is too large"):
        predictor.items([], [",".join(["1e39"] * 10)])
    with pytest.raises(UsageError, match="line 1: 'x' in column 'age' is no finite number"):
        predictor.items([], [",".join(["x"] * 10)])
