"""Draws the next token from logits."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int32, PRNGKeyArray


def choose(
    key: PRNGKeyArray,
    logits: Float[Array, "*batch vocabulary"],
    temperature: float,
    top_k: int = 0,
    top_p: float = 1.0,
) -> Int32[Array, "*batch"]:
    """Draws tokens from softmax(logits / temperature).

    Args:
        key: random key.
        logits: [..., vocabulary].
        temperature: 0 returns the most likely token.
        top_k: draw among the k most likely tokens only; 0: all.
        top_p: of these, draw among the fewest most likely tokens whose probabilities sum to at
            least this (nucleus sampling).

    Returns:
        Tokens int32 [...].

    Source: Holtzman et al. 2020 for top_p.
    """
    if temperature == 0:
        return logits.argmax(-1).astype(jnp.int32)
    if top_k:
        least = jax.lax.top_k(logits, min(top_k, logits.shape[-1]))[0][..., -1:]
        logits = jnp.where(logits < least, -jnp.inf, logits)
    logits = logits / temperature
    if top_p < 1:
        order = jnp.argsort(-logits, axis=-1, stable=True)
        p = jnp.take_along_axis(jax.nn.softmax(logits, -1), order, -1)
        kept = jnp.cumsum(p, -1) - p < top_p
        logits = jnp.where(
            jnp.take_along_axis(kept, jnp.argsort(order, axis=-1), -1), logits, -jnp.inf
        )
    return jax.random.categorical(key, logits).astype(jnp.int32)
