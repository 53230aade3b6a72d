"""Generator and critic for the translation of pictures between two styles (Zhu et al. 2017).

Pixels are moved into channels and back, where the original has strided and transposed convolutions.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from dlcore.kernels.shuffle import depth_to_space, space_to_depth
from dlcore.models.style import InstanceNorm


class Translator(nn.Module):
    """Translates pictures into the other style.

    It maps pictures [batch, 2 h, 2 w, channels] in [-1, 1] to pictures of the same shape and range.

    Attributes:
        width: channels, at half of the picture's size.
        depth: number of residual blocks.
    """

    width: int = 32
    depth: int = 3

    @nn.compact
    def __call__(self, image: Array) -> Array:
        """Translates a batch.

        Args:
            image: [batch, 2 h, 2 w, channels] in [-1, 1].

        Returns:
            The same shape and range.
        """
        x = nn.Conv(self.width, (3, 3))(space_to_depth(image, 2))
        x = jax.nn.relu(InstanceNorm()(x))
        for _ in range(self.depth):
            y = jax.nn.relu(InstanceNorm()(nn.Conv(self.width, (3, 3))(x)))
            x = x + InstanceNorm()(nn.Conv(self.width, (3, 3))(y))
        x = nn.Conv(4 * image.shape[-1], (3, 3))(jnp.concatenate([x, space_to_depth(image, 2)], -1))
        return jnp.tanh(depth_to_space(x, 2))


class PatchCritic(nn.Module):
    """Scores overlapping patches of a picture, high for real ones (Isola et al. 2017, sec. 3.2).

    It maps pictures [batch, 4 h, 4 w, channels] in [-1, 1] to scores [batch, h, w].

    Attributes:
        width: channels at half of the size; twice as many at a quarter.
    """

    width: int = 32

    @nn.compact
    def __call__(self, image: Array) -> Array:
        """Computes scores [batch, h, w] of images [batch, 4 h, 4 w, channels] in [-1, 1]."""
        x = nn.leaky_relu(nn.Conv(self.width, (3, 3))(space_to_depth(image, 2)), 0.2)
        x = nn.Conv(2 * self.width, (3, 3))(space_to_depth(x, 2))
        return nn.Conv(1, (3, 3))(nn.leaky_relu(InstanceNorm()(x), 0.2))[..., 0]
