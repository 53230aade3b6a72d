"""Random corruption of tokens for masked language modelling, drawn independently for each row."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Int32, Integer, PRNGKeyArray

from dlcore.kernels.random import per_example


def random_positions(
    key: PRNGKeyArray,
    row: Integer[Array, " batch"],
    allowed: Bool[Array, "batch length"],
    count: int,
) -> Int32[Array, "batch count"]:
    """Draws `count` distinct positions per row, uniformly from the allowed ones.

    The fixed count lets a network compute its outputs at these positions alone.

    Args:
        key: random key of the step.
        row: each example's index in the global batch [batch].
        allowed: True where a position may be drawn [batch, length].
        count: number of positions, from 1 to length. A row with fewer allowed positions is filled
            up with others: give those weight 0 in the loss.

    Returns:
        Positions [batch, count], int32, in ascending order.

    Raises:
        ValueError: count is outside 1 to length.
    """
    if not 0 < count <= allowed.shape[1]:
        raise ValueError(f"cannot draw {count} distinct positions of {allowed.shape[1]}")

    def draw(key: Array, allowed: Array) -> Array:
        # below 0 where allowed, above 0 elsewhere
        order = jax.random.uniform(key, allowed.shape) - allowed
        return jnp.sort(jnp.argsort(order)[:count])

    return per_example(draw, key, row, allowed).astype(jnp.int32)


def corrupt_tokens(
    key: PRNGKeyArray,
    row: Integer[Array, " batch"],
    tokens: Integer[Array, "batch length"],
    positions: Integer[Array, "batch count"],
    mask: int,
    first: int,
    vocabulary: int,
) -> Integer[Array, "batch length"]:
    """Corrupts the tokens at given positions as BERT does.

    A token becomes `mask` with probability 0.8 and a uniformly drawn ordinary token with
    probability 0.1; else it stays.

    Args:
        key: random key of the step.
        row: each example's index in the global batch [batch].
        tokens: [batch, length], integers.
        positions: positions to corrupt [batch, count], distinct in each row.
        mask: the token that stands for a masked one.
        first: the smallest ordinary token; those below are special tokens.
        vocabulary: number of tokens; ordinary ones are `first` to `vocabulary` - 1.

    Returns:
        Corrupted tokens, shape and dtype of `tokens`.

    Raises:
        ValueError: there are no ordinary tokens.

    Source: Devlin et al. 2019, sec. 3.1.
    """
    if not 0 <= first < vocabulary:
        raise ValueError(f"no token lies between {first} and {vocabulary}")

    def draw(key: Array, tokens: Array, positions: Array) -> Array:
        u = jax.random.uniform(jax.random.fold_in(key, 0), positions.shape)
        random_tokens = jax.random.randint(
            jax.random.fold_in(key, 1), positions.shape, first, vocabulary, tokens.dtype
        )
        unmasked = jnp.where(u < 0.9, random_tokens, tokens[positions])
        replacement = jnp.where(u < 0.8, jnp.asarray(mask, tokens.dtype), unmasked)
        return tokens.at[positions].set(replacement)

    return per_example(draw, key, row, tokens, positions)
