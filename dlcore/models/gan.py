"""Generator and discriminator for small images (after DCGAN, Radford et al. 2016).

Images grow and shrink by moving pixels between space and channels (Shi et al. 2016) instead of by strided and transposed
convolutions: on CPU a transposed convolution is many times slower than what it computes.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from dlcore.kernels.shuffle import depth_to_space, space_to_depth


def pixel_norm(x: Array) -> Array:
    """x / sqrt(mean of x^2 over channels) (Karras et al. 2018, sec. 4.2): every example for itself, unlike batch normalisation."""
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-8)


class Generator(nn.Module):
    """Noise to images in [-1, 1] of 4 * `side` pixels a side; two steps up, `width` channels at the first."""

    width: int
    side: int = 7
    channels: int = 1

    @nn.compact
    def __call__(self, noise: Array) -> Array:
        """noise [batch, latent] -> images [batch, 4 side, 4 side, channels]."""
        x = nn.Dense(self.side * self.side * self.width)(noise)
        x = pixel_norm(nn.leaky_relu(x.reshape(-1, self.side, self.side, self.width), 0.2))
        for width in (self.width // 2, self.width // 4):
            x = depth_to_space(nn.Conv(4 * width, (3, 3))(x), 2)
            x = pixel_norm(nn.leaky_relu(x, 0.2))
        return jnp.tanh(nn.Conv(self.channels, (3, 3))(x))


class Discriminator(nn.Module):
    """Images to a score, above 0 for real."""

    width: int

    @nn.compact
    def __call__(self, images: Array) -> Array:
        """images [batch, 4 side, 4 side, channels] -> scores [batch]."""
        x = images
        for width in (self.width // 2, self.width):
            x = nn.leaky_relu(nn.Conv(width, (3, 3))(space_to_depth(x, 2)), 0.2)
        return nn.Dense(1)(x.reshape(len(x), -1))[:, 0]
