"""Positions of a GPT's tokens, and which of them attend to each other."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Integer


def token_positions(
    position: Integer[Array, ""] | Integer[Array, "batch length"],
    length: int,
    padding: Integer[Array, " batch"] | None,
) -> Integer[Array, " length"] | Integer[Array, "batch length"]:
    """Returns the position of each token in its text.

    Args:
        position: column of the first token [], or the position of every token [batch, length].
        length: number of tokens.
        padding: number of padding tokens at the left of each row; they get position 0.
    """
    if position.ndim:
        return position
    columns = position + jnp.arange(length)
    return columns if padding is None else jnp.maximum(columns[None] - padding[:, None], 0)


def visible(
    first: Integer[Array, ""],
    queries: int,
    keys: int,
    window: int = 0,
    segment: Integer[Array, "batch keys"] | None = None,
    padding: Integer[Array, " batch"] | None = None,
) -> Bool[Array, "batch_or_1 queries keys"]:
    """Returns which keys each query attends to.

    Args:
        first: column of the first query; keys begin at column 0.
        queries, keys: their numbers.
        window: a query sees so many keys at most, the last of which is its own; 0: all before it.
        segment: number of the document of each token, where queries and keys are the same tokens;
            None: one document.
        padding: number of padding tokens at the left of each row, which nobody sees; None: none.
    """
    query, key = (first + jnp.arange(queries))[:, None], jnp.arange(keys)[None]
    seen = (key <= query)[None]
    if window:
        seen &= (key > query - window)[None]
    if segment is not None:
        seen &= segment[:, :, None] == segment[:, None, :]
    if padding is not None:
        seen &= (key >= padding[:, None])[:, None]
    return seen
