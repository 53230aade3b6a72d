"""Feed-forward networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import flax.linen as nn
import jax
from jax import Array

from dlcore.models.layers import BatchNorm, Dropout, LayerNorm

Normalisation = Literal["none", "batch", "layer"]


class MLP(nn.Module):
    """Dense layers of `widths` with normalisation, an activation and dropout between them, and a
    last one of `classes`.

    With `norm` "batch" or "layer" what a dense layer gives is normalised before its activation, and
    has no bias of its own.
    """

    widths: Sequence[int]
    classes: int
    dropout: float = 0.0
    activation: Callable[[Array], Array] = jax.nn.relu
    norm: Normalisation = "none"

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False, row: Array | None = None) -> Array:
        """x [batch, ...] -> logits [batch, classes]."""
        x = x.reshape(x.shape[0], -1)
        for width in self.widths:
            x = nn.Dense(width, use_bias=self.norm == "none")(x)
            if self.norm == "batch":
                x = BatchNorm()(x, train)
            elif self.norm == "layer":
                x = LayerNorm()(x)
            x = Dropout(self.dropout)(self.activation(x), row if train else None)
        return nn.Dense(self.classes)(x)


class Many(nn.Module):
    """`count` networks of one shape, side by side in parameters [count, ...], that know nothing of
    each other.
    """

    count: int
    widths: Sequence[int]
    classes: int
    dropout: float = 0.0
    activation: Callable[[Array], Array] = jax.nn.relu
    norm: Normalisation = "none"

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False, row: Array | None = None) -> Array:
        """x [count, batch, ...], its own for each -> logits [count, batch, classes]."""
        beside = nn.vmap(
            lambda net, x: net(x, train=train, row=row),
            variable_axes={"params": 0, "batch_stats": 0},
            split_rngs={"params": True, "dropout": True},
            axis_size=self.count,
        )
        return beside(MLP(self.widths, self.classes, self.dropout, self.activation, self.norm), x)
