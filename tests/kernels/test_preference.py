"""KTO and DPO: values by hand, and which way they push."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from dlcore.kernels.preference import dpo, kto
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
    ),
    "dpo": Case(
        lambda right, wrong: dpo(right, wrong, 0.3),
        # log(1 + e^-x), summed in logarithms
        lambda right, wrong: np.logaddexp(0, -0.3 * (right - wrong)),
        lambda generator: tuple(generator.standard_normal((2, 6)) * 5),
        grads=(0, 1),
        batched=(0, 1),
        edges={"huge": (np.array([1e4, -1e4, 0.0]), np.array([-1e4, 1e4, 0.0]))},
    ),
}


@pytest.mark.slow
def test_right_answers_are_pushed_up_and_wrong_ones_down_and_the_point_stays() -> None:
    ratio, desirable = jnp.zeros(2), jnp.array([1.0, 0.0])

    def total(ratio: jax.Array, point: jax.Array) -> jax.Array:
        return kto(ratio, point, desirable, 0.1).sum()

    by_ratio, by_point = jax.grad(total, argnums=(0, 1))(ratio, jnp.asarray(1.0))
    # the point has no gradient, also where those of the two answers would not cancel
    uneven = jax.grad(lambda point: kto(ratio, point, desirable, 0.1, 2.0).sum())(jnp.asarray(1.0))
    assert uneven == 0
    # the slope of a sigmoid at 0.1 times beta
    np.testing.assert_allclose(by_ratio, np.array([-1, 1]) * 0.1 * expit(0.1) * expit(-0.1))
    assert by_point == 0
    np.testing.assert_allclose(kto(ratio, jnp.zeros(()), desirable, 0.1), [0.5, 0.5])


@pytest.mark.slow
def test_dpo_pushes_the_answers_of_a_pair_apart_less_the_further_they_are() -> None:
    right, wrong = jnp.array([0.0, 30.0]), jnp.array([0.0, -30.0])
    np.testing.assert_allclose(dpo(right, wrong, 0.1)[0], np.log(2), rtol=1e-6)
    slopes = jax.grad(lambda *both: dpo(*both, 0.1).sum(), argnums=(0, 1))(right, wrong)
    np.testing.assert_allclose(slopes[0], -0.1 * expit([0.0, -6.0]), rtol=1e-5)
    np.testing.assert_allclose(slopes[1], -slopes[0])
