"""Activation functions by name; GELU has a hand-written gradient, since XLA's is slow on CPU."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from dlcore.kernels.derivatives import with_backward

Name = Literal["relu", "gelu", "silu", "tanh", "sigmoid", "elu", "leaky_relu"]

_C = math.sqrt(2 / math.pi)
_A = 0.044715


def _tanh(x: Array) -> Array:
    return jnp.tanh(_C * x * (1 + _A * x * x))


def _forward(x: Array) -> tuple[Array, Array]:
    return gelu(x), x


def _backward(x: Array, dy: Array) -> tuple[Array]:
    t = _tanh(x)
    slope = 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * _C * (1 + 3 * _A * x * x)
    # For large |x| tanh is exactly +-1 while x^3 may be infinite: 0 * inf must not become NaN.
    return (dy * jnp.where(jnp.abs(x) > 30, (x > 0).astype(x.dtype), slope),)


@with_backward(_forward, _backward)
def gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """GELU in its tanh form: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), elementwise.

    Forward-mode and second derivatives: see `derivatives.plain_derivatives`.

    Args:
        x: inputs of any shape, floating.

    Returns:
        Activations, shape and dtype of `x`.

    Source: Hendrycks & Gimpel 2016, sec. 2.
    """
    return 0.5 * x * (1 + _tanh(x))


def gelu_erf(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """GELU in its exact form: x/2 (1 + erf(x / sqrt(2))), elementwise, as BERT has it.

    Args:
        x: inputs of any shape, floating.

    Returns:
        Activations, shape and dtype of `x`.

    Source: Hendrycks & Gimpel 2016, eq. 1.
    """
    return jax.nn.gelu(x, approximate=False)


def named(name: Name) -> Callable[[Array], Array]:
    """Returns the activation function of a name: `gelu` of this module, the others of `jax.nn`.

    Args:
        name: "relu": max(x, 0); "leaky_relu": x where x >= 0, else x/100 (Maas et al. 2013, sec.
            2); "elu": x where x > 0, else e^x - 1 (Clevert et al. 2016, eq. 15); "silu":
            x sigmoid(x) (Hendrycks & Gimpel 2016, sec. 2); "gelu", "tanh" or "sigmoid".

    Returns:
        An elementwise function that keeps shape and dtype.

    Raises:
        ValueError: another name.
    """
    if name not in get_args(Name):
        raise ValueError(f"unknown activation {name!r}: choose one of {', '.join(get_args(Name))}")
    return gelu if name == "gelu" else getattr(jax.nn, name)
