"""Encoders that learn without labels, from what two views of an image have in common."""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
from jax import Array
from jaxtyping import Float, Integer

from dlcore.kernels.contrast import unit_length


class Encoded(NamedTuple):
    """What `Contrastive` computes.

    Attributes:
        features: [batch, n], for other tasks.
        projection: of unit length [batch, size], for the contrastive loss.
        logits: of the online probe [batch, classes].
    """

    features: Float[Array, "batch n"]
    projection: Float[Array, "batch size"]
    logits: Float[Array, "batch classes"]


class Contrastive(nn.Module):
    """An encoder, a projection, and a linear probe (Chen et al. 2020, sec. 2.1).

    Called with images [batch, height, width, c], it returns an `Encoded`.

    Attributes:
        encoder: computes features [batch, n] of images; called with keywords `train` and `row`.
        hidden, size: units of the two dense layers of the projection, with ReLU between them.
        classes: of the probe, a linear classifier from which no gradient reaches the encoder.
    """

    encoder: nn.Module
    hidden: int
    size: int
    classes: int

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch height width c"],
        *,
        train: bool = False,
        row: Integer[Array, " batch"] | None = None,
    ) -> Encoded:
        """Computes features, projections and logits.

        Args:
            x: images [batch, height, width, c].
            train: passed to the encoder, for dropout and batch statistics.
            row: each example's index in the global batch [batch], for the encoder's dropout.
        """
        features = self.encoder(x, train=train, row=row)
        hidden = jax.nn.relu(nn.Dense(self.hidden, name="hidden")(features))
        projection = unit_length(nn.Dense(self.size, name="projection")(hidden))
        logits = nn.Dense(self.classes, name="probe")(jax.lax.stop_gradient(features))
        return Encoded(features, projection, logits)
