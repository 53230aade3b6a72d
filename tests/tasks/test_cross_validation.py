"""Fifty networks on a table: each is scored on what it has not learned from, and on nothing
else.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from dlcore.data.sets import tables
from dlcore.models.mlp import Many
from dlcore.tasks import cross_validation
from dlcore.train.model import Model
from dlcore.train.step import State, value

FOLDS = tables.breast_cancer(2, 1)
BATCH: dict[str, Any] = {
    "x": FOLDS.source.arrays["x"][:4],
    "y": np.array([1.0, 0.0, 1.0, 0.0], np.float32),
    "learns": np.array([[1, 0], [0, 1], [1, 0], [0, 1]], np.float32),
    "mask": np.array([1, 1, 1, 0], np.float32),
}
LOGITS = np.array([[2.0, -1.0], [0.5, 0.5], [-3.0, 4.0], [9.0, 9.0]], np.float32)


def given(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
    return jnp.asarray(LOGITS), extra


@pytest.mark.slow
def test_an_example_counts_for_networks_that_learn_from_it_or_in_evaluation_for_the_others() -> (
    None
):
    loss: Any = cross_validation.classification_loss(given, 0.2)  # type: ignore[arg-type]

    def xent(logit: float, target: float) -> float:
        p = 1 / (1 + np.exp(-logit))
        return float(-(target * np.log(p) + (1 - target) * np.log(1 - p)))

    train = loss({}, {}, BATCH, None, True)
    smooth = {1.0: 0.9, 0.0: 0.1}
    expected = [xent(2.0, smooth[1.0]), xent(0.5, smooth[0.0]), xent(-3.0, smooth[1.0])]
    assert float(value(train.loss)) == pytest.approx(np.mean(expected), rel=1e-5)
    held_out = loss({}, {}, BATCH, None, False)
    expected = [xent(-1.0, 1.0), xent(0.5, 0.0), xent(4.0, 1.0)]
    assert float(value(held_out.loss)) == pytest.approx(np.mean(expected), rel=1e-5)
    assert float(value(held_out.metrics["accuracy"])) == pytest.approx(1 / 3)


def test_inputs_are_standardised_by_what_each_network_learns_from() -> None:
    x = cross_validation.standardised(FOLDS)({"x": FOLDS.source.arrays["x"]}, None, False)
    for network, learns in enumerate(FOLDS.source.arrays["learns"].T):
        own = np.asarray(x[network])[learns == 1]
        np.testing.assert_allclose(own.mean(0), 0, atol=1e-4)
        np.testing.assert_allclose(own.std(0), 1, atol=1e-3)


@pytest.mark.slow
def test_linear_models_beside_the_networks_are_fitted_on_the_same_folds() -> None:
    folds = tables.diabetes(2, 1)
    inputs = cross_validation.standardised(folds)
    model = Model("nets", Many(2, (3,), 1), inputs, output=cross_validation.by_example)
    params = model.init(jax.random.key(0), {"x": folds.source.arrays["x"][:5]})["params"]
    state = State(jnp.zeros((), jnp.int32), {"nets": params}, {}, {})
    found = cross_validation.regression_predictions(model, folds, state)
    x, y, learns = (folds.source.arrays[name] for name in ("x", "y", "learns"))
    for fold, held_out in enumerate(folds.parts()):
        inside = learns[:, fold] == 1
        expected = LinearRegression().fit(x[inside], y[inside]).predict(x[held_out])
        np.testing.assert_allclose(found["linear_"][0, held_out], expected, rtol=1e-3)
    metrics = cross_validation.regression_evaluator(model, folds).score(state, {}, "test")
    r2 = 1 - ((found["linear_"] - y) ** 2).mean() / y.astype(np.float64).var()
    assert metrics["linear_r2"] == pytest.approx(r2)
    assert metrics.keys() == cross_validation.REGRESSION.keys()
