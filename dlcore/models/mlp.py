"""Feed-forward networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
from jax import Array

from dlcore.models.layers import Dropout


class MLP(nn.Module):
    """Dense layers of `widths` with an activation and dropout between them, and a last one of `classes`."""

    widths: Sequence[int]
    classes: int
    dropout: float = 0.0
    activation: Callable[[Array], Array] = jax.nn.relu

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False, row: Array | None = None) -> Array:
        """x [batch, ...] -> logits [batch, classes]."""
        x = x.reshape(x.shape[0], -1)
        for width in self.widths:
            x = self.activation(nn.Dense(width)(x))
            x = Dropout(self.dropout)(x, row if train else None)
        return nn.Dense(self.classes)(x)
