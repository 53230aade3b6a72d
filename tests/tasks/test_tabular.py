"""Metrics of predictions for a table, beside those of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss, mean_absolute_error, r2_score, root_mean_squared_error

from dlcore.data.facts import Facts
from dlcore.tasks import tabular

CLASSES = Facts(task="classes", classes=["a", "b"], class_counts=[3, 1])
NUMBERS = Facts(task="number", classes=[], mean=10.0, deviation=2.0)


@pytest.mark.quick
def test_metrics_of_classes_are_those_of_scikit_learn() -> None:
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    true = np.array([0, 0, 1])
    found = tabular.scores(CLASSES, np.log(p), true.astype(float))
    prior = np.tile([0.75, 0.25], (3, 1))
    assert found["log_loss"] == pytest.approx(log_loss(true, p))
    assert found["baseline_log_loss"] == pytest.approx(log_loss(true, prior))
    assert found["baseline_accuracy"] == pytest.approx(2 / 3)
    assert found.keys() == tabular.CLASSES.keys()


@pytest.mark.quick
def test_metrics_of_numbers_are_those_of_scikit_learn() -> None:
    predicted, true = np.array([1.0, 5.0, 20.0]), np.array([2.0, 3.0, 25.0])
    found = tabular.scores(NUMBERS, predicted, true)
    mean = np.full(3, 10.0)
    assert found["rmse"] == pytest.approx(root_mean_squared_error(true, predicted))
    assert found["mae"] == pytest.approx(mean_absolute_error(true, predicted))
    assert found["r2"] == pytest.approx(r2_score(true, predicted))
    assert found["baseline_rmse"] == pytest.approx(root_mean_squared_error(true, mean))
    assert found["baseline_mae"] == pytest.approx(mean_absolute_error(true, mean))
    assert found.keys() == tabular.NUMBERS.keys()
    assert tabular.scores(NUMBERS, predicted[:1], true[:1])["r2"] == 0
