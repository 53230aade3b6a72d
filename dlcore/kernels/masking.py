"""Corruption of tokens for masked language modelling, each row's own."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from dlcore.kernels.random import per_example


def chosen_places(key: Array, row: Array, allowed: Array, count: int) -> Array:
    """`count` different places of each row, drawn evenly among those that are allowed: int32
    [batch, count], in rising order.

    allowed bool [batch, length]. A row with fewer allowed places fills up with others: weigh them
    by `allowed`. A fixed number lets a head work on the chosen places alone. Raises ValueError
    unless 0 < count <= length.
    """
    if not 0 < count <= allowed.shape[1]:
        raise ValueError(f"{count} places cannot be chosen of {allowed.shape[1]}")

    def draw(key: Array, allowed: Array) -> Array:
        # what is allowed lies below 0, the rest above
        order = jax.random.uniform(key, allowed.shape) - allowed
        return jnp.sort(jnp.argsort(order)[:count])

    return per_example(draw, key, row, allowed).astype(jnp.int32)


def corrupted(
    key: Array, row: Array, tokens: Array, places: Array, mask: int, first: int, vocabulary: int
) -> Array:
    """BERT's corruption (Devlin et al. 2019, sec. 3.1): of the tokens at `places`, 80 % become
    `mask`, 10 % any ordinary token, 10 % stay; all others stay.

    tokens int [batch, length], places int [batch, count]; like tokens. Ordinary tokens are `first`,
    ..., `vocabulary` - 1. Raises ValueError where there are none.
    """
    if not 0 <= first < vocabulary:
        raise ValueError(f"no token lies between {first} and {vocabulary}")

    def draw(key: Array, tokens: Array, places: Array) -> Array:
        fate = jax.random.uniform(jax.random.fold_in(key, 0), places.shape)
        other = jax.random.randint(
            jax.random.fold_in(key, 1), places.shape, first, vocabulary, tokens.dtype
        )
        kept = jnp.where(fate < 0.9, other, tokens[places])
        return tokens.at[places].set(jnp.where(fate < 0.8, jnp.asarray(mask, tokens.dtype), kept))

    return per_example(draw, key, row, tokens, places)
