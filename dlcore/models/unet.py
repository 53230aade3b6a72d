"""A small U-Net conditioned on a time and a class (after Ronneberger et al. 2015, Ho et al. 2020).

The image enters as blocks of 2 x 2 pixels, and is downsampled and upsampled by moving pixels
between space and channels: no layer runs at full size, where a convolution with few channels is the
most expensive.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer

from dlcore.kernels.shuffle import depth_to_space, space_to_depth
from dlcore.models.layers import LayerNorm


def waves(
    time: Float[Array, " batch"], size: int, fastest: float = 1000.0
) -> Float[Array, "batch size"]:
    """Embeds times by sinusoids: their cos, then their sin, at size / 2 frequencies.

    Args:
        time: [batch].
        size: length of an embedding, even.
        fastest: highest angular frequency; the lowest is 1, and the ratio of neighbours is the same
            everywhere.

    Returns:
        [batch, size], dtype of `time`; computed in float32 at least, since in bfloat16 the angles
        of the highest frequencies would be off by radians.

    Source: Vaswani et al. 2017, sec. 3.5.
    """
    acc_dtype = jnp.promote_types(time.dtype, jnp.float32)
    angle = (
        time.astype(acc_dtype)[:, None]
        * jnp.geomspace(1.0, fastest, size // 2, dtype=acc_dtype)[None]
    )
    return jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], -1).astype(time.dtype)


class Block(nn.Module):
    """Applies a residual block whose features are scaled and shifted by a conditioning vector.

    Maps x [batch, h, w, c] and vectors [batch, n], from which a dense layer computes scale and
    shift, to [batch, h, w, c]:
    x + conv(silu((1 + scale) norm(conv(silu(norm(x)))) + shift)) with 3x3 convolutions; the second
    one starts at zero.
    """

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch h w c"], conditioning: Float[Array, "batch n"]
    ) -> Float[Array, "batch h w c"]:
        """Maps x [batch, h, w, c] to the same shape, given conditioning vectors [batch, n]."""
        width = x.shape[-1]
        scale, shift = jnp.split(
            nn.Dense(2 * width, kernel_init=nn.initializers.zeros)(conditioning)[:, None, None],
            2,
            -1,
        )
        y = nn.Conv(width, (3, 3))(jax.nn.silu(LayerNorm()(x)))
        y = LayerNorm()(y)
        y = jax.nn.silu(y * jnp.broadcast_to(1 + scale, y.shape) + jnp.broadcast_to(shift, y.shape))
        return x + nn.Conv(width, (3, 3), kernel_init=nn.initializers.zeros)(y)


class UNet(nn.Module):
    """Predicts the velocity of a flow at an image, given the time and a class.

    Maps images [batch, height, width, c], whose height and width 4 divides, times in [0, 1] [batch]
    and labels [batch] to velocities, of the shape of the images. In a `Model` the times, argument
    1, are to be `unrounded`.

    Attributes:
        width: channels at half of the image's size; at a quarter twice as many.
        depth: number of blocks at half size (both before and after the quarter), and at a quarter.
        classes: number of classes; label `classes` means no class.
    """

    width: int
    depth: tuple[int, int] = (1, 3)
    classes: int = 10

    @nn.compact
    def __call__(
        self,
        images: Float[Array, "batch height width c"],
        time: Float[Array, " batch"],
        label: Integer[Array, " batch"],
    ) -> Float[Array, "batch height width c"]:
        """Computes the velocity, of the shape of `images`.

        Args:
            images: [batch, height, width, c]; 4 divides height and width.
            time: [batch], in [0, 1]; float32 also where the images are bfloat16.
            label: class of each image [batch], or `classes` for none.
        """
        embedded = waves(time, 2 * self.width).astype(images.dtype)
        conditioning = nn.Dense(4 * self.width)(embedded)
        # As large as the embedding of time: with Flax's small default, training ignored the class
        # for a thousand steps.
        class_embedding = nn.Embed(
            self.classes + 1, 4 * self.width, embedding_init=nn.initializers.normal(1.0)
        )
        conditioning = jax.nn.silu(conditioning + class_embedding(label))
        conditioning = jax.nn.silu(nn.Dense(2 * self.width)(conditioning))
        x = nn.Conv(self.width, (3, 3))(space_to_depth(images, 2))
        for _ in range(self.depth[0]):
            x = Block()(x, conditioning)
        high = x
        x = nn.Dense(2 * self.width)(space_to_depth(x, 2))
        for _ in range(self.depth[1]):
            x = Block()(x, conditioning)
        x = depth_to_space(nn.Dense(4 * self.width)(x), 2)
        x = nn.Dense(self.width)(jnp.concatenate([x, high], -1))
        for _ in range(self.depth[0]):
            x = Block()(x, conditioning)
        x = jax.nn.silu(LayerNorm()(x))
        return depth_to_space(
            nn.Conv(4 * images.shape[-1], (3, 3), kernel_init=nn.initializers.zeros)(x), 2
        )
