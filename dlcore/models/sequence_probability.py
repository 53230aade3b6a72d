"""Log-probabilities of whole texts under a language model."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer


def log_probability(
    logits: Float[Array, "batch length vocabulary"],
    targets: Integer[Array, "batch length"],
    weight: Float[Array, "batch length"],
) -> Float[Array, " batch"]:
    """Sums the log-probabilities of the targets of each row, in nats.

    Args:
        logits: of each next token [batch, length, vocabulary].
        targets: the next tokens [batch, length], integers from 0 to vocabulary - 1.
        weight: 1 for targets that count, 0 for the others [batch, length].

    Returns:
        [batch], float32 or wider.
    """
    upcast = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    logp = jax.nn.log_softmax(upcast, -1)
    chosen = jnp.take_along_axis(logp, targets[..., None], -1)[..., 0]
    return (chosen * weight).sum(-1)
