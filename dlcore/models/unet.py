"""A small U-Net that is told a time and a class: the velocity of a flow at an image (after
Ronneberger et al. 2015, Ho et al. 2020).

The image enters as blocks of 2 x 2 pixels, and grows and shrinks by moving pixels between space and
channels: no layer works at the full size, where a convolution with few channels costs the most for
what it computes.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from dlcore.kernels.shuffle import depth_to_space, space_to_depth
from dlcore.models.layers import LayerNorm


def waves(time: Array, size: int, fastest: float = 1000.0) -> Array:
    """cos and sin of `time` [batch] at size / 2 frequencies from 1 to `fastest` (Vaswani et al.
    2017, sec. 3.5): [batch, size].
    """
    angle = time[:, None] * jnp.geomspace(1.0, fastest, size // 2, dtype=time.dtype)[None]
    return jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], -1)


class Block(nn.Module):
    """x + conv(silu(norm(conv(silu(norm x))) scaled and shifted by what is told)): 3x3, the second
    one begins at zero.
    """

    @nn.compact
    def __call__(self, x: Array, conditioning: Array) -> Array:
        """x [batch, h, w, c], told [batch, n] -> like x."""
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
    """Blocks of `width` channels at half size and of twice as many at a quarter; label `classes`
    stands for no class.
    """

    width: int
    depth: tuple[int, int] = (1, 3)
    classes: int = 10

    @nn.compact
    def __call__(self, images: Array, time: Array, label: Array) -> Array:
        """images [batch, 4 h, 4 w, c], time [batch], label int [batch] -> like images."""
        conditioning = nn.Dense(4 * self.width)(waves(time, 2 * self.width))
        # Of the size of the time's part: with Flax's small default the class went unheard for a
        # thousand steps.
        named = nn.Embed(
            self.classes + 1, 4 * self.width, embedding_init=nn.initializers.normal(1.0)
        )
        conditioning = jax.nn.silu(conditioning + named(label))
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
