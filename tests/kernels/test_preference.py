"""KTO: values by hand, and which way it pushes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import expit

from dlcore.kernels.preference import kto
from tests.kernels.case import Case


def by_formula(
    ratio: np.ndarray, point: np.ndarray, desirable: np.ndarray, right: float, wrong: float
) -> np.ndarray:
    """Answer by answer."""
    out = np.empty(ratio.shape)
    for i, r in enumerate(ratio):
        kind = desirable[i] > 0
        margin = 0.3 * (r - point) if kind else 0.3 * (point - r)
        out[i] = (right if kind else wrong) * (1 - expit(margin))
    return out


CASES = {
    "kto": Case(
        lambda ratio, point, desirable: kto(ratio, point, desirable, 0.3, 1.5, 0.5),
        lambda ratio, point, desirable: by_formula(ratio, point, desirable, 1.5, 0.5),
        lambda generator: (
            generator.standard_normal(6) * 5,
            np.array(0.25),
            np.array([1.0, 0.0, 1.0, 1.0, 0.0, 0.0]),
        ),
        grads=(0,),
        batched=(),
        edges={
            "huge": (np.array([1e4, -1e4, 1e4]), np.zeros(()), np.array([1.0, 1.0, 0.0])),
        },
    )
}


def test_right_answers_are_pushed_up_and_wrong_ones_down_and_the_point_stays() -> None:
    ratio, desirable = jnp.zeros(2), jnp.array([1.0, 0.0])

    def total(ratio: jax.Array, point: jax.Array) -> jax.Array:
        return kto(ratio, point, desirable, 0.1).sum()

    by_ratio, by_point = jax.grad(total, argnums=(0, 1))(ratio, jnp.asarray(1.0))
    # the slope of a sigmoid at 0.1 times beta
    np.testing.assert_allclose(by_ratio, np.array([-1, 1]) * 0.1 * expit(0.1) * expit(-0.1))
    assert by_point == 0
    np.testing.assert_allclose(kto(ratio, jnp.zeros(()), desirable, 0.1), [0.5, 0.5])
