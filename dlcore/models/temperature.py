"""A temperature that is learnt after or beside a classifier (Guo et al. 2017, sec. 4.2)."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jax import Array


class Temperature(nn.Module):
    """Divides logits by exp(log_temperature), a parameter [] that is 0 at the start.

    Maps logits [batch, classes] to the same shape and dtype.
    """

    @nn.compact
    def __call__(self, logits: Array) -> Array:
        """Scales logits.

        Args:
            logits: [batch, classes], floating.

        Returns:
            Shape and dtype of `logits`.
        """
        log_temperature = self.param("log_temperature", nn.initializers.zeros, (), jnp.float32)
        return logits * jnp.exp(-log_temperature.astype(logits.dtype))
