"""The Huber loss: quadratic near 0, linear beyond delta."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlcore.kernels.regression import huber
from tests.kernels.case import Case, normals


def by_hand(error: np.ndarray) -> np.ndarray:
    size = np.abs(error)
    return np.where(size <= 0.5, error**2 / 2, 0.5 * (size - 0.25))


CASES = {
    "huber": Case(
        lambda e: huber(e, 0.5),
        by_hand,
        normals((6, 3)),
        grads=(0,),
        edges={
            "nothing": (np.zeros(2),),
            "at the bound": (np.array([0.5, -0.5]),),
            "huge and tiny": (np.array([1e30, -1e30, 1e-18]),),
            "infinite": (np.array([np.inf, -np.inf]),),
            "not a number": (np.array([np.nan, 1.0]),),
        },
    )
}


@pytest.mark.slow
def test_it_is_that_of_optax_and_its_slope_is_clipped() -> None:
    error = jnp.array([-3.0, -1.0, -0.2, 0.0, 0.7, 1.0, 5.0])
    np.testing.assert_allclose(huber(error, 1.0), optax.huber_loss(error), rtol=1e-6)
    slope = jax.grad(lambda e: huber(e, 1.0).sum())(error)
    np.testing.assert_allclose(slope, np.clip(error, -1, 1))
    with pytest.raises(ValueError, match="above 0"):
        huber(error, 0.0)
