"""Losses of regression, one value per error."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float


def huber(error: Float[Array, " *shape"], delta: float) -> Float[Array, " *shape"]:
    """The Huber loss: error^2 / 2 up to `delta`, and delta (|error| - delta / 2) above.

    Args:
        error: predictions minus targets, of any shape.
        delta: the absolute error from which the loss is linear, above 0.

    Returns:
        Losses, shape and dtype of `error`. Their gradient is the error, clipped to +-delta.

    Raises:
        ValueError: delta is not above 0.

    Source: Huber 1964, sec. 4.
    """
    if delta <= 0:
        raise ValueError(f"delta is the size of an error, above 0, not {delta}")
    size = jnp.abs(error)
    small = jnp.minimum(size, delta)
    return small * (size - small / 2)
