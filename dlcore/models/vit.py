"""A vision Transformer (Dosovitskiy et al. 2021): an image as a sequence of patches."""

from __future__ import annotations

import flax.linen as nn
from jax import Array
from jaxtyping import Float, Integer

from dlcore.errors import UsageError
from dlcore.kernels.shuffle import space_to_depth
from dlcore.models.encoder import TENSOR, Encoder, Size

__all__ = ["TENSOR", "Size", "ViT"]


class ViT(nn.Module):
    """Classifies images: embedded patches, an encoder, the mean over patches and a dense layer.

    Maps images [batch, height, width, c], whose height and width `patch` divides, to logits [batch,
    classes].

    Attributes:
        size: of the encoder.
        patch: height and width of a patch in pixels.
        classes: number of classes.

    Source: Dosovitskiy et al. 2021, without its class token.
    """

    size: Size
    patch: int
    classes: int

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch height width c"],
        *,
        train: bool = False,
        row: Integer[Array, " batch"] | None = None,
    ) -> Float[Array, "batch classes"]:
        """Computes logits [batch, classes].

        Args:
            x: images [batch, height, width, c].
            train: whether dropout is applied.
            row: each example's index in the global batch [batch], for the keys of dropout.

        Raises:
            UsageError: `patch` does not divide height and width.
            ValueError: there are more patches than learned positions.
        """
        height, width = x.shape[1:3]
        if height % self.patch or width % self.patch:
            raise UsageError(
                f"--patch {self.patch} does not divide images of {height} x {width}: give a number"
                " that divides both"
            )
        x = space_to_depth(x, self.patch)
        x = x.reshape(x.shape[0], -1, x.shape[-1])
        x = nn.Dense(self.size.width, name="embed")(x)
        x = Encoder(self.size, name="encoder")(x, train=train, row=row)
        return nn.Dense(self.classes, kernel_init=nn.initializers.zeros, name="head")(x.mean(1))
