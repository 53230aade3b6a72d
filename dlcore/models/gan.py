"""Generator and discriminator for small images (after DCGAN, Radford et al. 2016).

Images grow and shrink by moving pixels between space and channels (Shi et al. 2016) instead of by
strided and transposed convolutions: on CPU a transposed convolution is many times slower than what
it computes.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from dlcore.kernels.shuffle import depth_to_space, space_to_depth
from dlcore.kernels.spectral import spectral_norm


def pixel_norm(x: Array) -> Array:
    """x / sqrt(mean of x^2 over channels) (Karras et al. 2018, sec. 4.2): every example for itself,
    unlike batch normalisation.
    """
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-8)


class Generator(nn.Module):
    """Noise to images in [-1, 1] of 4 * `side` pixels a side; two steps up, `width` channels at the
    first.

    With `classes` it is told which class to draw, beside the noise.
    """

    width: int
    side: int = 7
    channels: int = 1
    classes: int = 0

    @nn.compact
    def __call__(self, noise: Array, label: Array | None = None) -> Array:
        """noise [batch, latent], label int [batch] -> images [batch, 4 side, 4 side, channels]."""
        if self.classes:
            noise = jnp.concatenate(
                [noise, jax.nn.one_hot(label, self.classes, dtype=noise.dtype)], -1
            )
        x = nn.Dense(self.side * self.side * self.width)(noise)
        x = pixel_norm(nn.leaky_relu(x.reshape(-1, self.side, self.side, self.width), 0.2))
        for width in (self.width // 2, self.width // 4):
            x = depth_to_space(nn.Conv(4 * width, (3, 3))(x), 2)
            x = pixel_norm(nn.leaky_relu(x, 0.2))
        return jnp.tanh(nn.Conv(self.channels, (3, 3))(x))


class Discriminator(nn.Module):
    """Images to a score, above 0 for real; with `classes`, for a real image of its label.

    The last layer then has a column a class, which is a projection discriminator (Miyato & Koyama
    2018, eq. 3): the term that all labels share is part of every column.
    """

    width: int
    classes: int = 0

    @nn.compact
    def __call__(self, images: Array, label: Array | None = None) -> Array:
        """images [batch, 4 side, 4 side, channels], label int [batch] -> scores [batch]."""
        x = images
        for width in (self.width // 2, self.width):
            x = nn.leaky_relu(nn.Conv(width, (3, 3))(space_to_depth(x, 2)), 0.2)
        scores = nn.Dense(self.classes or 1)(x.reshape(len(x), -1))
        return (
            (scores * jax.nn.one_hot(label, self.classes, dtype=scores.dtype)).sum(-1)
            if self.classes
            else scores[:, 0]
        )


def normalised(params: Any) -> Any:
    """Every kernel, as a matrix from all its inputs to its outputs, over its spectral norm (Miyato
    et al. 2018, sec. 2.1).
    """
    return jax.tree.map(
        lambda p: p / spectral_norm(p.reshape(-1, p.shape[-1])) if p.ndim > 1 else p, params
    )
