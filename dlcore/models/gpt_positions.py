"""Positions of a GPT's tokens, and which of them attend to each other."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Integer

from dlcore.kernels.attention import attention, causal_attention, rotary
from dlcore.kernels.rotary_scaling import PLAIN, Rope, scaled_rotary


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


def rotated(
    x: Float[Array, "batch heads length d"],
    position: Integer[Array, " length"] | Integer[Array, "batch length"],
    rope: Rope,
) -> Float[Array, "batch heads length d"]:
    """Turns queries or keys by their positions, by the kernel without scaling where there is none.

    Args:
        x: queries or keys.
        position: of each token, in its text.
        rope: base, scaling and partial form.
    """
    each = position[:, None] if position.ndim == 2 else position
    return rotary(x, each) if rope == PLAIN else scaled_rotary(x, each, rope)


def causal(
    q: Float[Array, "batch heads length d"],
    k: Float[Array, "batch heads length d"],
    v: Float[Array, "batch heads length d"],
    segment: Integer[Array, "batch length"] | None,
) -> Float[Array, "batch heads length d"]:
    """Attends to earlier tokens, of the same document where rows are packed.

    Args:
        q, k, v: queries, keys and values of the same tokens.
        segment: number of the document of each token; None: one document.
    """
    if segment is None:
        return causal_attention(q, k, v)
    past = jnp.tril(jnp.ones((q.shape[2],) * 2, bool))[None]
    return attention(q, k, v, past & (segment[:, :, None] == segment[:, None, :]))
