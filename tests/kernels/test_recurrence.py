"""The linear recurrence: complex numbers by NumPy, and both ways of computing it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels import recurrence
from dlcore.kernels.recurrence import diagonal_recurrence
from tests.kernels.case import Arrays, Case


def reference(x: np.ndarray, decay: np.ndarray) -> np.ndarray:
    """One step after the other, in complex numbers; batch-major."""
    n = len(decay) // 2
    a, z = decay[:n] + 1j * decay[n:], x[..., :n] + 1j * x[..., n:]
    h = np.zeros_like(z)
    for t in range(z.shape[1]):
        h[:, t] = (a * h[:, t - 1] if t else 0) + z[:, t]
    return np.concatenate([h.real, h.imag], -1)


def stable(generator: np.random.Generator) -> Arrays:
    size, angle = generator.uniform(0.5, 1, 2), generator.uniform(0, 6, 2)
    return generator.standard_normal((3, 9, 4)), np.concatenate(
        [size * np.cos(angle), size * np.sin(angle)]
    )


def batch_major(x: jax.Array, decay: jax.Array) -> jax.Array:
    return diagonal_recurrence(decay, x.swapaxes(0, 1)).swapaxes(0, 1)


_X = np.random.default_rng(1).standard_normal((2, 6, 2))
CASES = {
    "diagonal_recurrence": Case(
        batch_major,
        reference,
        stable,
        grads=(0, 1),
        edges={
            "one step": (_X[:, :1], np.array([0.3, -0.4])),
            "a sum": (_X, np.array([1.0, 0.0])),
            "a quarter turn": (_X, np.array([0.0, 1.0])),
            "no memory": (_X, np.array([0.0, 0.0])),
            "growing": (_X, np.array([30.0, -40.0])),
        },
    )
}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [1, 2, 7, 64])
def test_the_associative_scan_is_the_loop(length: int, reverse: bool) -> None:
    with jax.enable_x64(True):
        x, decay = stable(np.random.default_rng(length))
        x = np.random.default_rng(0).standard_normal((length, 3, 4))
        loop, tree = (
            jax.jit(f, static_argnums=2)(jnp.asarray(decay), jnp.asarray(x), reverse)
            for f in (recurrence._stepwise, recurrence._associative)
        )
        np.testing.assert_allclose(tree, loop, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("length", [1, 7])
def test_the_associative_backward_pass_is_the_loop_and_the_sum_of_the_definition(
    length: int,
) -> None:
    """What runs on GPU and TPU: dx_t = dy_t + conj(a) dx_{t+1}, and for a the sum of conj(h_{t-1})
    dx_t.
    """
    with jax.enable_x64(True):
        before, dy = np.random.default_rng(0).standard_normal((2, length, 3, 4))
        decay = stable(np.random.default_rng(length))[1]
        a, h, g = (z[..., :2] + 1j * z[..., 2:] for z in (decay, before, dy))
        dx = np.zeros_like(g)
        for t in reversed(range(length)):
            dx[t] = g[t] + (a.conj() * dx[t + 1] if t + 1 < length else 0)
        slope = (h.conj() * dx).sum((0, 1))
        for f in (recurrence._backward_associative, recurrence._backward_stepwise):
            found = jax.jit(f)(decay, before, dy)
            for x, z in zip(found, (slope, dx), strict=True):
                np.testing.assert_allclose(
                    x, np.concatenate([z.real, z.imag], -1), rtol=1e-12, atol=1e-12
                )


@pytest.mark.usefixtures("unchecked")
def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        diagonal_recurrence(jnp.ones(3), jnp.ones((5, 2, 3)))
    with pytest.raises(ValueError, match="does not fit"):
        diagonal_recurrence(jnp.ones(2), jnp.ones((5, 2, 4)))
