"""Attention whose heads share keys and values, with soft caps and any mask; no key is repeated."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

NEVER = -1e30  # a score that softmax turns into 0; finite, so that no NaN arises from it


def grouped_attention(
    q: Float[Array, "batch heads queries d"],
    k: Float[Array, "batch groups keys d"],
    v: Float[Array, "batch groups keys d"],
    mask: Bool[Array, "#batch queries keys"],
    softcap: float = 0.0,
) -> Float[Array, "batch heads queries d"]:
    """Attention in which groups of heads share keys and values: softmax(cap(q k^T / sqrt(d))) v.

    Head h reads the keys and values of group h // (heads / groups), which are not copied: the
    queries of a group are the rows of one matrix. A query for which the mask allows no key weighs
    all keys equally, so that padding stays finite.

    Args:
        q: queries [batch, heads, queries, d].
        k: keys [batch, groups, keys, d], dtype of `q`; `groups` divides `heads`.
        v: values, shape and dtype of `k`.
        mask: True where a query sees a key, [batch or 1, queries, keys].
        softcap: scores are bounded smoothly to +-softcap by softcap tanh(score / softcap); 0: not.

    Returns:
        Weighted values, shape and dtype of `q`.

    Raises:
        ValueError: `groups` does not divide `heads`.

    Source: Ainslie et al. 2023, sec. 2.2; Gemma 2 (Gemma Team 2024, sec. 2) for the soft cap.
    """
    batch, heads, queries, d = q.shape
    groups, keys = k.shape[1:3]
    if heads % groups:
        raise ValueError(f"{groups} groups of keys cannot be shared by {heads} heads")
    acc_dtype, shared = jnp.promote_types(q.dtype, jnp.float32), heads // groups
    rows = (q * d**-0.5).reshape(batch, groups, shared * queries, d)
    scores = jnp.einsum("bgqd,bgkd->bgqk", rows, k, preferred_element_type=acc_dtype)
    if softcap:
        scores = softcap * jnp.tanh(scores / softcap)
    scores = scores.reshape(batch, groups, shared, queries, keys)
    weights = jax.nn.softmax(jnp.where(mask[:, None, None], scores, NEVER), -1).astype(q.dtype)
    rows = weights.reshape(batch, groups, shared * queries, keys)
    return jnp.einsum("bgqk,bgkd->bgqd", rows, v).reshape(q.shape)
