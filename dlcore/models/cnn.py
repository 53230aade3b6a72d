"""Convolutional networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import flax.linen as nn
import jax
from jax import Array
from jaxtyping import Float, Integer

from dlcore.kernels.pool import max_pool
from dlcore.models.layers import BatchNorm, Dropout, check_halvings

Normalisation = Literal["none", "batch"]
Readout = Literal["mean", "flat"]


class CNN(nn.Module):
    """3x3 convolutions with ReLU and max pooling between them, a hidden layer and a dense layer.

    Called with images [batch, height, width, c], it returns logits [batch, classes]; with
    `features=True`, the hidden layer [batch, hidden].

    Attributes:
        widths: channels of each convolution.
        hidden: features of the hidden layer.
        classes: number of classes.
        norm: "batch": batch normalisation after each convolution; "none": biases instead.
        dropout: rate of dropout after the hidden layer.
        readout: input of the hidden layer: "mean", the mean over all pixels, or "flat", all pixels
            (more parameters, and fewer steps to the same accuracy).
    """

    widths: Sequence[int]
    hidden: int
    classes: int
    norm: Normalisation = "none"
    dropout: float = 0.0
    readout: Readout = "mean"

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch height width c"],
        *,
        train: bool = False,
        row: Integer[Array, " batch"] | None = None,
        features: bool = False,
    ) -> Float[Array, "batch n"]:
        """Computes logits [batch, classes].

        Args:
            x: images [batch, height, width, c].
            train: whether dropout is applied and batch statistics are those of the batch.
            row: each example's index in the global batch [batch], for the keys of dropout.
            features: return the hidden layer [batch, hidden] instead.

        Raises:
            UsageError: 2^(len(widths) - 1) does not divide height and width.
        """
        check_halvings(x.shape[1:3], len(self.widths))
        kernel = nn.initializers.he_normal()
        for layer, width in enumerate(self.widths):
            x = nn.Conv(width, (3, 3), kernel_init=kernel, use_bias=self.norm == "none")(x)
            if self.norm == "batch":
                x = BatchNorm()(x, train)
            x = jax.nn.relu(x)
            if layer + 1 < len(self.widths):
                x = max_pool(x)
        x = x.mean((1, 2)) if self.readout == "mean" else x.reshape(x.shape[0], -1)
        x = Dropout(self.dropout)(
            jax.nn.relu(nn.Dense(self.hidden, kernel_init=kernel)(x)), row if train else None
        )
        return x if features else nn.Dense(self.classes)(x)
