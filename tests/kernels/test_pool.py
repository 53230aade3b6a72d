"""Pooling: equals a loop over blocks, and shares a gradient among equal maxima."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcore.kernels.pool import max_pool
from tests.kernels.case import Case, normals


def loop(
    reduce: Callable[[np.ndarray], float], size: int = 2
) -> Callable[[np.ndarray], np.ndarray]:
    """Pooling, one block after the other."""

    def pool(x: np.ndarray) -> np.ndarray:
        batch, height, width, channels = x.shape
        y = np.empty((batch, height // size, width // size, channels))
        for b, i, j, c in np.ndindex(y.shape):
            y[b, i, j, c] = reduce(x[b, size * i : size * i + size, size * j : size * j + size, c])
        return y

    return pool


def _image(*values: float) -> tuple[np.ndarray]:
    return (np.array(values).reshape(1, 2, -1, 1),)


EDGES = {
    "one block": _image(1.0, 2.0, 3.0, 4.0),
    "ties": _image(1.0, 1.0, 1.0, 1.0),
    "huge": _image(1e4, 1e30, -1e30, 0.0),
    "tiny": _image(1e-30, 2e-30, -1e-30, 0.0),
    "minus infinity": _image(-np.inf, -np.inf, -np.inf, -np.inf, 1.0, -np.inf, 0.0, 2.0),
    "not a number": _image(np.nan, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0),
}

CASES = {
    "max_pool": Case(
        max_pool,
        loop(np.max),
        normals((2, 4, 6, 3)),
        grads=(0,),
        f32=0,
        bf16=0,
        edges=EDGES,
        edge=0,
    ),
    "max_pool:3": Case(
        lambda x: max_pool(x, 3), loop(np.max, 3), normals((2, 3, 6, 2)), grads=(0,), f32=0, bf16=0
    ),
    "max_pool:1": Case(lambda x: max_pool(x, 1), lambda x: x, normals((1, 2, 3, 2)), f32=0, bf16=0),
}


@pytest.mark.slow
@given(st.lists(st.integers(0, 2), min_size=4, max_size=4))
def test_gradient_of_the_maximum_is_shared_by_ties(values: list[int]) -> None:
    x = jnp.asarray(np.array(values, np.float32).reshape(1, 2, 2, 1))
    grad = np.asarray(jax.grad(lambda x: 6 * max_pool(x).sum())(x)).ravel()
    largest = np.array(values) == max(values)
    np.testing.assert_allclose(grad, np.where(largest, 6 / largest.sum(), 0), rtol=1e-6)


def test_blocks_that_do_not_fit_are_refused() -> None:
    for shape in ((1, 3, 4, 1), (1, 4, 3, 1)):
        with pytest.raises(ValueError, match="blocks of 2 do not divide an image of"):
            max_pool(jnp.zeros(shape))
