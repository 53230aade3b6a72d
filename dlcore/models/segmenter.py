"""A U-Net with residual blocks for outputs per pixel (after Ronneberger et al. 2015).

The image enters as blocks of `patch` x `patch` pixels, and sizes are halved and doubled by moving
pixels between space and channels, so that no convolution runs at the full size.
"""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from dlcore.kernels.shuffle import depth_to_space, space_to_depth
from dlcore.models.cnn import Normalisation
from dlcore.models.layers import BatchNorm, Dropout, check_stages


class PixelBlock(nn.Module):
    """Adds conv(relu(norm(conv(relu(norm(x)))))) to x, with 3x3 kernels (He et al. 2016b, fig. 4e).

    Maps x [batch, height, width, c] to the same shape.

    Attributes:
        norm: "batch", or "none", where the convolutions have a bias.
    """

    norm: Normalisation

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """Adds the branch to x.

        Args:
            x: [batch, height, width, c].
            train: whether batch statistics are of this batch.

        Returns:
            Shape and dtype of x.
        """
        y = x
        for _ in range(2):
            y = BatchNorm()(y, train) if self.norm == "batch" else y
            y = nn.Conv(
                x.shape[-1],
                (3, 3),
                use_bias=self.norm == "none",
                kernel_init=nn.initializers.he_normal(),
            )(jax.nn.relu(y))
        return x + y


class Segmenter(nn.Module):
    """Computes outputs of every pixel by a U-Net, for example one logit per class.

    Maps images [batch, height, width, c] to [batch, height, width, outputs]. Each channel's mean
    over the image is subtracted first. Height and width may be any numbers: they are padded with
    zeros to multiples of `patch`, and to even numbers before each halving; the decoder cuts off
    what was padded.

    Attributes:
        widths: channels of each level; the first works at 1 / patch of the image's sides, each
            further one at half of the one before.
        blocks: residual blocks of each level in the encoder; the decoder has one where the encoder
            has any.
        outputs: number of outputs per pixel.
        patch: height and width of the blocks of pixels that are one position of the stem.
        norm: "batch" or "none".
        dropout: rate of dropout at the smallest size.
    """

    widths: Sequence[int]
    blocks: Sequence[int]
    outputs: int
    patch: int = 2
    norm: Normalisation = "batch"
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False, row: Array | None = None) -> Array:
        """Computes the outputs of every pixel.

        Args:
            x: images [batch, height, width, c], floating.
            train: whether dropout is active and batch statistics are of this batch.
            row: int [batch], index of each example, for dropout.

        Returns:
            [batch, height, width, outputs], dtype of x.

        Raises:
            UsageError: widths and blocks differ in number.
        """
        check_stages(self.widths, self.blocks)
        height, width = x.shape[1:3]
        mean = x.mean((1, 2), keepdims=True)  # a padded border is as bright as the image
        x = _padded(x - mean, self.patch)
        x = nn.Conv(self.widths[0], (3, 3), name="stem")(space_to_depth(x, self.patch))
        skips = []
        for level, (channels, count) in enumerate(zip(self.widths, self.blocks, strict=True)):
            if level:
                skips.append(x)
                x = space_to_depth(_padded(x, 2), 2)
                x = nn.Dense(channels, name=f"down_{level}")(x)
            for block in range(count):
                x = PixelBlock(self.norm, name=f"encoder_{level}_{block}")(x, train)
        x = self._with_context(x, row if train else None)
        for level in reversed(range(len(self.widths) - 1)):
            skip = skips[level]
            x = nn.Dense(4 * self.widths[level], kernel_init=alike(4), name=f"up_{level}")(x)
            x = depth_to_space(x, 2)
            x = jnp.concatenate([x[:, : skip.shape[1], : skip.shape[2]], skip], -1)
            x = nn.Dense(self.widths[level], name=f"merge_{level}")(x)
            if self.blocks[level]:
                x = PixelBlock(self.norm, name=f"decoder_{level}")(x, train)
        x = jax.nn.relu(BatchNorm(name="norm")(x, train) if self.norm == "batch" else x)
        pixels = self.patch**2
        x = nn.Dense(pixels * self.outputs, kernel_init=alike(pixels), name="head")(x)
        return depth_to_space(x, self.patch)[:, :height, :width]

    def _with_context(self, x: Array, row: Array | None) -> Array:
        """Adds the mean over the image, by a dense layer, to every position of the smallest
        level.
        """
        context = nn.Dense(x.shape[-1], name="context")(jax.nn.relu(x).mean((1, 2), keepdims=True))
        return Dropout(self.dropout)(x + context, row)


def alike(pixels: int) -> nn.initializers.Initializer:
    """Returns an initialiser for kernels before depth to space: the same for all pixels of a block.

    If each pixel of a block had its own initial values, the outputs would start with a pattern of
    the block's size, which training has to remove.

    Args:
        pixels: number of pixels of a block; it divides the number of outputs of the kernel.

    Returns:
        An initialiser of kernels [..., outputs].

    Source: Aitken et al. 2017, sec. 3.
    """

    def initialised(key: Array, shape: Sequence[int], dtype: DTypeLike = jnp.float32) -> Array:
        *rest, outputs = shape
        one = nn.initializers.lecun_normal()(key, (*rest, outputs // pixels), dtype)
        return jnp.tile(one, pixels)

    return initialised


def _padded(x: Array, unit: int) -> Array:
    """Pads height and width [batch, height, width, c] by zeros to multiples of `unit`."""
    down, right = (-side % unit for side in x.shape[1:3])
    return jnp.pad(x, ((0, 0), (0, down), (0, right), (0, 0))) if down or right else x
