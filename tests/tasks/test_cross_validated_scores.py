"""Scores of out-of-fold predictions, and the standardised loss of regression, by hand."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.data.sets import tables
from dlcore.metrics.calibration import reliability
from dlcore.tasks import cross_validation
from dlcore.train.step import State, value

STATE: Any = State(jnp.zeros((), jnp.int32), {}, {}, {})


def test_two_classes_in_two_repeats_of_two_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    folds = tables.breast_cancer(2, 2)
    y, parts = folds.source.arrays["y"], folds.parts()
    random = np.random.default_rng(0)
    logits = np.where(random.random((len(parts), len(y))) < 0.8, 2 * y - 1, 1 - 2 * y)
    logits *= random.uniform(0.2, 3, logits.shape)
    monkeypatch.setattr(cross_validation, "outputs", lambda *_: logits)
    model: Any = None
    found = cross_validation.classification_evaluator(model, folds).score(STATE, {}, "test")
    right, true, p = [], [], []
    for network, part in enumerate(parts):
        right.append(((logits[network, part] > 0) == y[part]).mean())
        true += y[part].tolist()
        p += (1 / (1 + np.exp(-logits[network, part]))).tolist()
    guess, label = np.array(p) > 0.5, np.array(true) == 1
    assert found == {
        "accuracy_of_folds": pytest.approx(np.mean(right)),
        "deviation_of_folds": pytest.approx(np.std(right)),
        "sensitivity": pytest.approx(guess[label].mean()),
        "specificity": pytest.approx((~guess[~label]).mean()),
        "calibration_error": pytest.approx(reliability(np.array(p), np.array(true)).error),
    }
    assert found["sensitivity"] != found["specificity"]


def test_targets_of_regression_are_standardised_for_each_network() -> None:
    folds = tables.diabetes(2, 1)
    y = folds.source.arrays["y"][:4]
    target = (y[:, None] - folds.y_centre[None]) / folds.y_scale[None]
    batch: dict[str, Any] = {
        "y": y,
        "learns": np.array([[1, 0], [0, 1], [1, 0], [0, 1]], np.float32),
        "mask": np.array([1, 1, 1, 0], np.float32),
    }

    def error(offset: Any, train: bool) -> float:
        made = jnp.asarray(target + offset, jnp.float32)
        loss: Any = cross_validation.regression_loss(lambda *_: (made, {}), folds)  # type: ignore[arg-type, return-value]
        return float(value(loss({}, {}, batch, None, train).loss))

    for train in (True, False):
        assert error(0.0, train) == pytest.approx(0, abs=1e-10)
        assert error(1.0, train) == pytest.approx(1, rel=1e-5)
    # of the three rows that count, training has networks 0, 1 and 0, evaluation 1, 0 and 1
    offsets = np.array([1.0, 3.0])
    assert error(offsets, True) == pytest.approx((1 + 9 + 1) / 3, rel=1e-5)
    assert error(offsets, False) == pytest.approx((9 + 1 + 9) / 3, rel=1e-5)
