"""The spectral norm against the singular value decomposition."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels.spectral import spectral_norm
from tests.kernels.case import Case


def largest(w: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.svd(w, compute_uv=False).max() if np.isfinite(w).all() else np.nan)


def apart(*shape: int) -> np.ndarray:
    """A matrix whose singular values are 1, 1/2, 1/3 ...: the power iteration converges to the last
    bit.
    """
    u, _, v = np.linalg.svd(np.random.default_rng(1).standard_normal(shape), full_matrices=False)
    return (u / np.arange(1, len(v) + 1)) @ v


CASES = {
    "spectral_norm": Case(
        lambda w: spectral_norm(w).astype(w.dtype),
        largest,
        lambda generator: (apart(7, 4),),
        grads=(0,),
        batched=(),
        edges={
            "zero": (np.zeros((3, 2)),),
            "one number": (np.array([[-3.0]]),),
            "a row": (np.array([[3.0, 4.0]]),),
            "huge": (1e30 * apart(3, 5),),
            "tiny": (1e-30 * apart(3, 5),),
            "two that are equal": (np.diag([2.0, 2.0, 1.0]),),
            "not a number": (np.array([[np.nan, 1.0]]),),
        },
    ),
}


@pytest.mark.parametrize("shape", [(64, 64), (144, 32), (10, 200)])
def test_singular_values_that_crowd_cost_less_than_is_promised(shape: tuple[int, int]) -> None:
    w = np.random.default_rng(0).standard_normal(shape)
    exact, promised = largest(w), np.log(min(shape)) / 2**6
    with jax.enable_x64(True):
        found = float(jax.jit(spectral_norm, static_argnums=1)(jnp.asarray(w), 6))
    assert exact**2 * (1 - promised) <= found**2 <= exact**2 * (1 + 1e-12)


def test_the_worst_case_for_the_power_iteration_stays_within_the_promise() -> None:
    """All other singular values just below the first."""
    norm = jax.jit(lambda w: spectral_norm(w, doublings=8))
    for below in (0.9, 0.99, 0.995, 0.999):
        found = float(norm(np.diag([1.0] + [below] * 63).astype(np.float32)))
        assert 1 - np.log(64) / 2**8 <= found**2 <= 1 + 1e-5


@pytest.mark.slow
def test_the_gradient_is_the_outer_product_of_the_singular_vectors() -> None:
    w = apart(5, 3)
    u, _, v = np.linalg.svd(w, full_matrices=False)
    slope = jax.jit(jax.grad(spectral_norm))
    np.testing.assert_allclose(
        slope(jnp.asarray(w, jnp.float32)), np.outer(u[:, 0], v[0]), atol=1e-5
    )
    np.testing.assert_array_equal(slope(jnp.zeros((5, 3))), 0)


@pytest.mark.usefixtures("unchecked")
def test_only_a_matrix_has_one() -> None:
    with pytest.raises(ValueError, match="needs a matrix"):
        spectral_norm(jnp.zeros((3, 3, 2)))
