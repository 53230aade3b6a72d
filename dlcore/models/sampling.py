"""Which token comes next."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array


def choose(
    key: Array, logits: Array, temperature: float, top_k: int = 0, top_p: float = 1.0
) -> Array:
    """Draw from softmax(logits / temperature), [..., vocabulary] -> int32 [...]; the likeliest
    itself at temperature 0.

    `top_k` keeps the so many likeliest (0: all); of them `top_p` keeps the fewest whose
    probabilities reach it, the likeliest first (Holtzman et al. 2020).
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
