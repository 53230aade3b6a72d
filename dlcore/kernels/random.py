"""Random draws that depend on (seed, step, objective, row) and nothing else.

`row` is an example's index in the global batch. The step's key is folded with it, so that an
example gets the same noise, dropout mask and crop on one device or on eight, in one microbatch or
in four, before or after a resume.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer, PRNGKeyArray, Shaped

Tree = TypeVar("Tree")  # a pytree of arrays


def per_example(
    draw: Callable[..., Tree],
    key: PRNGKeyArray,
    row: Integer[Array, " batch"],
    *args: Shaped[Array, " batch ..."],
) -> Tree:
    """Calls `draw(key of the example, *arguments of the example)` for every example of a batch.

    Args:
        draw: a function of a key and of arrays without their batch axis.
        key: random key of the step.
        row: each example's index in the global batch [batch]; its key is `fold_in(key, row)`.
        *args: arrays [batch, ...].

    Returns:
        The results of `draw`, stacked along a first axis of length batch.
    """
    return jax.vmap(lambda r, *a: draw(jax.random.fold_in(key, r), *a))(row, *args)


def normal(
    key: PRNGKeyArray, row: Integer[Array, " batch"], shape: Sequence[int]
) -> Float[Array, " batch *shape"]:
    """Draws standard normal noise, independently for each example.

    Args:
        key: random key of the step.
        row: each example's index in the global batch [batch].
        shape: shape of one example's noise.

    Returns:
        Noise [batch, *shape] in JAX's default floating type.
    """
    return per_example(lambda k: jax.random.normal(k, tuple(shape)), key, row)


def uniform(
    key: PRNGKeyArray, row: Integer[Array, " batch"], shape: Sequence[int] = ()
) -> Float[Array, " batch *shape"]:
    """Draws uniform noise in [0, 1), independently for each example.

    Args:
        key: random key of the step.
        row: each example's index in the global batch [batch].
        shape: shape of one example's noise.

    Returns:
        Noise [batch, *shape] in JAX's default floating type.
    """
    return per_example(lambda k: jax.random.uniform(k, tuple(shape)), key, row)


def dropout(
    key: PRNGKeyArray,
    row: Integer[Array, " batch"],
    x: Float[Array, " batch *example"],
    rate: float,
) -> Float[Array, " batch *example"]:
    """Inverted dropout: x m / (1 - rate), with an independent m ~ Bernoulli(1 - rate) per element.

    Args:
        key: random key of the step.
        row: each example's index in the global batch [batch].
        x: [batch, ...], floating.
        rate: probability of a 0, in [0, 1); 0 returns `x` itself.

    Returns:
        Shape and dtype of `x`.

    Raises:
        ValueError: rate is outside [0, 1).

    Source: Srivastava et al. 2014.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"dropout rate {rate} is outside [0, 1)")
    if rate == 0:
        return x
    keep = per_example(lambda k: jax.random.bernoulli(k, 1 - rate, x.shape[1:]), key, row)
    return jnp.where(keep, x / (1 - rate), jnp.zeros_like(x))


def drop_row(
    key: PRNGKeyArray,
    row: Integer[Array, " batch"],
    x: Float[Array, " batch *example"],
    rate: float,
) -> Float[Array, " batch *example"]:
    """Stochastic depth: sets whole examples to 0: x b / (1 - rate), b ~ Bernoulli(1 - rate).

    The scaling is applied in training, so that evaluation uses `x` itself.

    Args:
        key: random key of the step.
        row: each example's index in the global batch [batch].
        x: outputs of a residual branch [batch, ...], floating.
        rate: probability of a 0, in [0, 1); 0 returns `x` itself.

    Returns:
        Shape and dtype of `x`.

    Raises:
        ValueError: rate is outside [0, 1).

    Source: Huang et al. 2016, eq. 2.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"drop rate {rate} is outside [0, 1)")
    if rate == 0:
        return x
    keep = per_example(lambda k: jax.random.bernoulli(k, 1 - rate), key, row)
    return jnp.where(keep.reshape(-1, *(1,) * (x.ndim - 1)), x / (1 - rate), jnp.zeros_like(x))
