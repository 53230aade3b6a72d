"""Activations by name against NumPy; GELU: its value, its hand-written slope, and both far out."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from dlcore.kernels.activations import Name, gelu, gelu_erf, named
from tests.kernels.case import Case

pytestmark = pytest.mark.slow


def reference(x: np.ndarray) -> np.ndarray:
    """The tanh form."""
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


REFERENCES: dict[Name, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda x: np.where(np.isnan(x), x, np.maximum(x, 0)),
    "gelu": reference,
    "silu": lambda x: x * expit(x),
    "tanh": np.tanh,
    "sigmoid": expit,
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "leaky_relu": lambda x: np.where(x >= 0, x, x / 100),
}


def by_name(name: Name) -> Case:
    """The case of an activation."""
    return Case(
        named(name),
        REFERENCES[name],
        lambda generator: (generator.standard_normal((4, 5)) * 3,),
        grads=(0,),
        edges={
            "one element": (np.array([0.5]),),
            "zero": (np.array([0.0, -0.0]),),
            "huge": (np.array([1e4, -1e4, 1e30, -1e30]),),
            "not a number": (np.array([np.nan, 1.0]),),
        },
    )


CASES = {
    **{f"named:{name}": by_name(name) for name in get_args(Name)},
    "gelu_erf": Case(
        gelu_erf,
        lambda x: x * norm.cdf(x),
        lambda generator: (generator.standard_normal((4, 5)) * 3,),
        grads=(0,),
        edges={"zero": (np.array([0.0]),), "huge": (np.array([1e4, -1e4, 1e30]),)},
    ),
    "gelu": Case(
        gelu,
        reference,
        lambda generator: (generator.standard_normal((4, 5)) * 3,),
        grads=(0,),
        edges={
            "one element": (np.array([0.5]),),
            "zero": (np.array([0.0, -0.0]),),
            "huge": (np.array([1e4, -1e4, 1e30, -1e30]),),
            "tiny": (np.array([1e-30, -1e-30]),),
            "not a number": (np.array([np.nan, 1.0, np.inf]),),
        },
    ),
}


def test_tanh_form_is_close_to_the_exact_one() -> None:
    x = np.linspace(-6, 6, 301)
    np.testing.assert_allclose(gelu(jnp.asarray(x, jnp.float32)), x * norm.cdf(x), atol=5e-4)


def test_slope_is_0_far_left_and_1_far_right_in_every_type() -> None:
    for dtype in (jnp.float32, jnp.bfloat16, jnp.float16):
        x = jnp.array([-1e4, -31, 31, 1e4], dtype)
        slope = jax.vmap(jax.grad(gelu))(x)
        assert slope.dtype == dtype
        np.testing.assert_array_equal(slope, [0, 0, 1, 1])


def test_slope_has_no_step_where_the_closed_form_ends() -> None:
    with jax.enable_x64(True):
        slope = jax.vmap(jax.grad(gelu))(jnp.array([-30.001, -29.999, 29.999, 30.001]))
        np.testing.assert_allclose(slope, [0, 0, 1, 1], atol=1e-12)


def test_second_use_of_the_gradient_is_scaled_by_the_cotangent() -> None:
    _, pull = jax.vjp(gelu, jnp.array([0.3, -2.0]))
    np.testing.assert_allclose(
        pull(jnp.array([2.0, 0.0]))[0],
        2 * pull(jnp.array([1.0, 5.0]))[0] * jnp.array([1.0, 0.0]),
        rtol=1e-6,
    )


@pytest.mark.usefixtures("unchecked")
def test_another_name_is_refused_with_the_known_names() -> None:
    with pytest.raises(ValueError, match=r"unknown activation 'swish': choose one of relu, gelu"):
        named("swish")  # type: ignore[arg-type]


def test_every_name_keeps_half_precision() -> None:
    for name in get_args(Name):
        assert named(name)(jnp.ones((2,), jnp.float16)).dtype == jnp.float16
