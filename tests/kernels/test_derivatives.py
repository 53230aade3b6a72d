"""Backward passes of one's own, and what is differentiated where they are left out."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels import attention, norm, recurrent
from dlcore.kernels.activations import gelu
from dlcore.kernels.derivatives import plain_derivatives, with_backward
from tests.kernels.case import Case, normals


def _cube_forward(x: jax.Array, times: float = 1.0) -> tuple[jax.Array, jax.Array]:
    return times * x**3, x


def _cube_backward(times: float, x: jax.Array, slope: jax.Array) -> tuple[jax.Array]:
    return (3 * times * x**2 * slope,)


@with_backward(_cube_forward, _cube_backward, nondiff_argnums=(1,))
def cube(x: jax.Array, times: float = 1.0) -> jax.Array:
    """times x^3."""
    return times * x**3


@with_backward(lambda x: (x * x, x), lambda x, slope: (100 * x * slope,))
def marked(x: jax.Array) -> jax.Array:
    """x^2, by a backward pass that gives itself away: 100 x instead of 2 x."""
    return x * x


CASES = {
    "with_backward": Case(
        lambda x: cube(x, times=2.0),
        lambda x: 2 * x**3,
        normals((3, 4)),
        grads=(0,),
        f32=2e-6,
        bf16=4e-2,
    ),
}


@pytest.mark.slow
def test_the_backward_pass_is_used_outside_and_left_out_inside_also_by_what_was_compiled() -> None:
    slope = jax.jit(jax.grad(marked))
    assert slope(3.0) == 300
    with plain_derivatives(True):
        assert slope(3.0) == 6
        assert jax.jvp(marked, (3.0,), (1.0,)) == (9, 6)
        assert jax.hessian(marked)(3.0) == 2
    assert slope(3.0) == 300
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(marked, (3.0,), (1.0,))


def test_what_is_decorated_keeps_its_name_and_words() -> None:
    assert (cube.__name__, cube.__doc__) == ("cube", "times x^3.")


@pytest.mark.slow
def test_forward_over_reverse_mode_through_kernels_in_a_row() -> None:
    """A product with the Hessian, through normalisation, GELU and causal attention: the difference
    of two gradients, in float64.
    """
    with jax.enable_x64(True):
        x, way = jnp.asarray(np.random.default_rng(0).standard_normal((2, 1, 1, 3, 4)))
        weight = jnp.arange(4.0)

        def loss(x: jax.Array) -> jax.Array:
            y = gelu(norm.layer_norm(x, weight, weight))
            return (attention.causal_attention(y, y, y) * weight[None, None, None]).sum()

        slope = jax.jit(jax.grad(loss))
        with plain_derivatives(True):
            found = jax.jit(lambda x: jax.jvp(jax.grad(loss), (x,), (way,))[1])(x)
        np.testing.assert_allclose(
            found, (slope(x + 1e-5 * way) - slope(x - 1e-5 * way)) / 2e-5, rtol=1e-6, atol=1e-7
        )


@pytest.mark.slow
def test_statistics_of_a_batch_have_no_gradient_inside_either() -> None:
    x = jnp.arange(6.0).reshape(3, 2)
    with plain_derivatives(True):
        slopes = jax.grad(
            lambda x: sum(jnp.sum(s) for s in norm.batch_norm(x, jnp.ones(2), jnp.zeros(2))[1:])
        )(x)
    np.testing.assert_array_equal(slopes, 0)


def test_truncation_is_refused_where_nothing_would_truncate() -> None:
    x: Any = jnp.ones((4, 1, 2)), jnp.ones((2, 2)), jnp.zeros((1, 2))
    with (
        plain_derivatives(True),
        pytest.raises(ValueError, match="truncation 2 is part of the backward pass"),
    ):
        recurrent.elman(*x, truncation=2)
