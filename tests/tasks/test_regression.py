"""The loss of regression by hand, also with Huber's linear part."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.tasks import regression


@pytest.mark.quick
@pytest.mark.parametrize(
    # errors 1, 3 and -0.25; Huber: d (|e| - d / 2) beyond d, else e^2 / 2
    ("huber", "first", "last"),
    [(0.0, 1.0, 0.0625), (0.5, 0.5 * 0.75, 0.03125)],
)
def test_squared_and_huber_errors_are_weighted_by_the_mask(
    huber: float, first: float, last: float
) -> None:
    def model(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
        return jnp.array([2.0, 5.0, 0.75]), extra

    batch = {"target": np.array([1.0, 2.0, 1.0]), "mask": np.array([1.0, 0.0, 2.0])}
    out = regression.loss(model, huber)({}, {}, batch, jax.random.key(0), True)
    assert float(out.loss.weight) == 3
    assert float(out.loss.total) == pytest.approx(first + 2 * last)
