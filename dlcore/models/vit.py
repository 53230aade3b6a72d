"""A vision Transformer (Dosovitskiy et al. 2021): an image as a row of patches."""

from __future__ import annotations

import flax.linen as nn
from jax import Array

from dlcore.kernels.shuffle import space_to_depth
from dlcore.models.encoder import TENSOR, Encoder, Size

__all__ = ["TENSOR", "Size", "ViT"]


class ViT(nn.Module):
    """Patches, each a vector by one matrix; an encoder; the mean over the patches (no class token);
    logits.
    """

    size: Size
    patch: int
    classes: int

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False, row: Array | None = None) -> Array:
        """x [batch, height, width, c] -> logits [batch, classes]. Raises ValueError unless patch
        divides height and width.
        """
        x = space_to_depth(x, self.patch)
        x = x.reshape(x.shape[0], -1, x.shape[-1])
        x = nn.Dense(self.size.width, name="embed")(x)
        x = Encoder(self.size, name="encoder")(x, train=train, row=row)
        return nn.Dense(self.classes, kernel_init=nn.initializers.zeros, name="head")(x.mean(1))
