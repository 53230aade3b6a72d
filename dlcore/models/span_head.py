"""Logits of the first and of the last token of an answer, and the most probable answer."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Integer

Logits = tuple[Float[Array, "batch positions"], Float[Array, "batch positions"]]
HIDDEN = -1e9  # logit of padding


class SpanHead(nn.Module):
    """Computes logits of the first and of the last token of an answer, and of "no answer".

    Maps features of the tokens for the start [batch, length, n] and for the end [batch, length, m],
    and a mask [batch, length], to logits of start and end, [batch, length + 1] each. Position 0 is
    "no answer" (Devlin et al. 2019, 4.3); position i + 1 is token i.
    """

    @nn.compact
    def __call__(
        self,
        start: Float[Array, "batch length n"],
        end: Float[Array, "batch length m"],
        mask: Bool[Array, "batch length"],
    ) -> Logits:
        """Computes logits of start and end, [batch, length + 1] each.

        Args:
            start, end: features of the tokens from which each is computed.
            mask: False at padding, which no answer touches and whose features have no effect.
        """
        return self._logits(start, mask, "start"), self._logits(end, mask, "end")

    def _logits(self, x: Array, mask: Array, name: str) -> Array:
        logits = nn.Dense(1, name=name)(x)[..., 0]
        best = jnp.where(mask[..., None], x, -jnp.inf).max(1)
        pooled = jnp.where(mask.any(1)[:, None], best, 0.0)
        none = nn.Dense(1, name=f"no_{name}")(pooled)
        return jnp.concatenate([none, jnp.where(mask, logits, HIDDEN)], 1)


def best_spans(
    start: Float[Array, "batch positions"], end: Float[Array, "batch positions"], longest: int
) -> tuple[Integer[Array, "batch 2"], Float[Array, " batch"], Float[Array, " batch"]]:
    """Finds the most probable answer of each row among all spans of at most `longest` tokens.

    Args:
        start, end: logits [batch, positions] of `SpanHead`: position 0 is "no answer", position
            i + 1 is token i.
        longest: number of tokens of an answer, at least 1.

    Returns:
        First and last token int32 [batch, 2]; the log-probability of the span, that of its start
        plus that of its end, float32 [batch]; and that of "no answer" (position 0) float32 [batch].
    """
    a, b = (jax.nn.log_softmax(each.astype(jnp.float32), -1) for each in (start, end))
    count = start.shape[1] - 1
    position = jnp.arange(count)
    length = position[None] - position[:, None]
    allowed = (length >= 0) & (length < longest)
    joint = jnp.where(allowed, a[:, 1:, None] + b[:, None, 1:], -jnp.inf).reshape(len(a), -1)
    best = joint.argmax(-1)
    span = jnp.stack([best // count, best % count], -1).astype(jnp.int32)
    return span, joint.max(-1), a[:, 0] + b[:, 0]
