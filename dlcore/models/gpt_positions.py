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
        position: column of the first token [], or the position of every token [batch, length],
            which is returned as it is.
        length: number of tokens.
        padding: number of padding tokens at the left of each row [batch], which get position 0;
            None: no padding.

    Returns:
        Positions [length], or [batch, length] where they differ between rows.
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
        queries, keys: numbers of queries and of keys.
        window: number of keys that a query sees at most, its own and those just before it; 0: all.
        segment: number of the document of each token [batch, keys], where queries and keys are the
            same tokens; None: one document.
        padding: number of padding tokens at the left of each row [batch], which no query sees;
            None: no padding.

    Returns:
        bool [batch, queries, keys], or [1, queries, keys] without `segment` and `padding`: True
        where the key is not later than the query and the arguments allow it.
    """
    query, key = (first + jnp.arange(queries))[:, None], jnp.arange(keys)[None]
    visible = (key <= query)[None]
    if window:
        visible &= (key > query - window)[None]
    if segment is not None:
        visible &= segment[:, :, None] == segment[:, None, :]
    if padding is not None:
        visible &= (key >= padding[:, None])[:, None]
    return visible


def rotated(
    x: Float[Array, "batch heads length d"],
    position: Integer[Array, " length"] | Integer[Array, "batch length"],
    rope: Rope,
) -> Float[Array, "batch heads length d"]:
    """Applies rotary positions to queries or keys.

    Args:
        x: queries or keys [batch, heads, length, d].
        position: of each token in its text, [length] or [batch, length].
        rope: base, scaling and partial form.

    Returns:
        Rotated queries or keys, shape and dtype of `x`.
    """
    each = position[:, None] if position.ndim == 2 else position
    return rotary(x, each) if rope == PLAIN else scaled_rotary(x, each, rope)


def causal(
    q: Float[Array, "batch heads length d"],
    k: Float[Array, "batch groups length d"],
    v: Float[Array, "batch groups length d"],
    segment: Integer[Array, "batch length"] | None,
) -> Float[Array, "batch heads length d"]:
    """Attends to a token itself and earlier tokens, of the same document where rows are packed.

    Args:
        q: queries [batch, heads, length, d].
        k, v: keys and values of the same tokens, [batch, groups, length, d]; `groups` divides
            `heads`.
        segment: number of the document of each token [batch, length]; None: one document.

    Returns:
        Weighted values, shape and dtype of `q`.
    """
    if segment is None:
        return causal_attention(q, k, v)
    past = jnp.tril(jnp.ones((q.shape[2],) * 2, bool))[None]
    return attention(q, k, v, past & (segment[:, :, None] == segment[:, None, :]))
