"""Randomness by place: every draw is a function of (seed, step, objective, row), never of devices
or microbatches.

`row` is an example's place in the global batch. A key for the step is folded with it, so that an
example meets the same noise, the same dropout mask and the same crop whether it is trained on one
device or on eight, in one microbatch or in four, before or after a resume.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array


def per_example(draw: Callable[..., Any], key: Array, row: Array, *args: Array) -> Any:
    """`draw(key of the row, *args of the row)` for every row: [batch] rows in, the draws stacked on
    axis 0 out.
    """
    return jax.vmap(lambda r, *a: draw(jax.random.fold_in(key, r), *a))(row, *args)


def normal(key: Array, row: Array, shape: Sequence[int]) -> Array:
    """Standard normal noise [batch, *shape], one draw a row, in the default float type."""
    return per_example(lambda k: jax.random.normal(k, tuple(shape)), key, row)


def uniform(key: Array, row: Array, shape: Sequence[int] = ()) -> Array:
    """Uniform noise in [0, 1), [batch, *shape], one draw a row, in the default float type."""
    return per_example(lambda k: jax.random.uniform(k, tuple(shape)), key, row)


def dropout(key: Array, row: Array, x: Array, rate: float) -> Array:
    """Inverted dropout (Srivastava et al. 2014): x * m / (1 - rate), m ~ Bernoulli(1 - rate), one
    mask a row; dtype kept.

    Raises ValueError unless 0 <= rate < 1.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"dropout rate {rate} is outside [0, 1)")
    if rate == 0:
        return x
    keep = per_example(lambda k: jax.random.bernoulli(k, 1 - rate, x.shape[1:]), key, row)
    return jnp.where(keep, x / (1 - rate), jnp.zeros_like(x))


def drop_row(key: Array, row: Array, x: Array, rate: float) -> Array:
    """Whole rows dropped (stochastic depth, Huang et al. 2016, eq. 2): x b / (1 - rate), b ~
    Bernoulli(1 - rate), one a row.

    x [batch, ...], dtype kept; scaled in training, so that evaluation takes x itself. Raises
    ValueError unless 0 <= rate < 1.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"drop rate {rate} is outside [0, 1)")
    if rate == 0:
        return x
    keep = per_example(lambda k: jax.random.bernoulli(k, 1 - rate), key, row)
    return jnp.where(keep.reshape(-1, *(1,) * (x.ndim - 1)), x / (1 - rate), jnp.zeros_like(x))
