"""Feed-forward networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import flax.linen as nn
import jax
from jax import Array
from jaxtyping import Float, Integer

from dlcore.models.layers import BatchNorm, Dropout, LayerNorm

Normalisation = Literal["none", "batch", "layer"]


class MLP(nn.Module):
    """Applies dense layers with normalisation, an activation and dropout between them.

    Maps inputs [batch, ...], flattened to [batch, n], to logits [batch, classes].

    Attributes:
        widths: features of each hidden layer.
        classes: features of the last layer.
        dropout: rate of dropout after each hidden layer.
        activation: of the hidden layers.
        norm: normalisation before each activation: "batch", "layer", or "none" for biases instead.
    """

    widths: Sequence[int]
    classes: int
    dropout: float = 0.0
    activation: Callable[[Array], Array] = jax.nn.relu
    norm: Normalisation = "none"

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch ..."],
        *,
        train: bool = False,
        row: Integer[Array, " batch"] | None = None,
    ) -> Float[Array, "batch classes"]:
        """Computes logits [batch, classes].

        Args:
            x: [batch, ...], flattened to [batch, n].
            train: whether dropout is applied and batch statistics are those of the batch.
            row: each example's index in the global batch [batch], for the keys of dropout.
        """
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
    """Applies `count` `MLP`s, each to an input of its own; each parameter is [count, ...].

    Maps inputs [count, batch, ...] to logits [count, batch, classes].

    Attributes:
        count: number of networks.
        widths, classes, dropout, activation, norm: as of `MLP`.
    """

    count: int
    widths: Sequence[int]
    classes: int
    dropout: float = 0.0
    activation: Callable[[Array], Array] = jax.nn.relu
    norm: Normalisation = "none"

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "count batch ..."],
        *,
        train: bool = False,
        row: Integer[Array, " batch"] | None = None,
    ) -> Float[Array, "count batch classes"]:
        """Computes logits [count, batch, classes].

        Args:
            x: inputs of each network [count, batch, ...].
            train, row: as of `MLP`; all networks have the same `row` [batch].
        """
        networks = nn.vmap(
            lambda net, x: net(x, train=train, row=row),
            variable_axes={"params": 0, "batch_stats": 0},
            split_rngs={"params": True, "dropout": True},
            axis_size=self.count,
        )
        return networks(MLP(self.widths, self.classes, self.dropout, self.activation, self.norm), x)
