"""Convolutional networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import flax.linen as nn
import jax
from jax import Array

from dlcore.kernels.pool import max_pool
from dlcore.models.layers import BatchNorm, Dropout

Normalisation = Literal["none", "batch"]
Readout = Literal["mean", "flat"]


class CNN(nn.Module):
    """3x3 convolutions of `widths` with ReLU, halved by max pooling between them; their mean over
    the image, a hidden layer, logits.

    With `norm` "batch" each convolution is followed by batch normalisation. With `readout` "flat"
    the hidden layer sees every place of the image instead of the mean: more parameters, fewer
    steps.
    """

    widths: Sequence[int]
    hidden: int
    classes: int
    norm: Normalisation = "none"
    dropout: float = 0.0
    readout: Readout = "mean"

    @nn.compact
    def __call__(
        self, x: Array, *, train: bool = False, row: Array | None = None, features: bool = False
    ) -> Any:
        """x [batch, height, width, c] -> logits [batch, classes], or the hidden layer [batch,
        hidden] if `features`.
        """
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
