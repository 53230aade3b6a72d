"""Generator and discriminator for small images (after DCGAN, Radford et al. 2016).

Height and width change by moving pixels between space and channels (Shi et al. 2016) instead of by
strided and transposed convolutions, which are many times slower on CPU.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer

from dlcore.kernels.shuffle import depth_to_space, space_to_depth
from dlcore.kernels.spectral import spectral_norm
from dlcore.sharding import Tree


def pixel_norm(x: Float[Array, "*batch c"]) -> Float[Array, "*batch c"]:
    """Normalises each pixel: x / sqrt(mean of x^2 over its channels + 1e-8).

    Unlike batch normalisation it treats every example by itself.

    Args:
        x: [..., channels], floating.

    Returns:
        Shape and dtype of `x`.

    Source: Karras et al. 2018, sec. 4.2.
    """
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-8)


class Generator(nn.Module):
    """Maps noise, and a class if there are classes, to images in [-1, 1].

    Noise [batch, latent], of any latent size, becomes images [batch, 4 side, 4 side, channels];
    with classes it is called with labels int [batch], too.

    Attributes:
        width: channels of the first level; the next two have half and a quarter.
        side: height and width of the first level in pixels; those of the images are 4 times as
            large.
        channels: of the images.
        classes: number of classes; 0: unconditional.
    """

    width: int
    side: int = 7
    channels: int = 1
    classes: int = 0

    @nn.compact
    def __call__(
        self, noise: Float[Array, "batch latent"], label: Integer[Array, " batch"] | None = None
    ) -> Float[Array, "batch height width c"]:
        """Generates images [batch, 4 side, 4 side, channels].

        Args:
            noise: [batch, latent].
            label: class of each image [batch]; needed where there are classes.
        """
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
    """Maps images to a score, trained to be above 0 for real ones.

    Images [batch, height, width, c], whose height and width 4 divides, get scores [batch]. With
    classes it is called with labels int [batch], too: the last layer has one column per class and
    the score is that of the image's label: a projection discriminator, whose unconditional term is
    part of every column.

    Attributes:
        width: channels of the second level; the first has half.
        classes: number of classes; 0: unconditional.

    Source: Miyato & Koyama 2018, eq. 3.
    """

    width: int
    classes: int = 0

    @nn.compact
    def __call__(
        self,
        images: Float[Array, "batch height width c"],
        label: Integer[Array, " batch"] | None = None,
    ) -> Float[Array, " batch"]:
        """Computes scores [batch].

        Args:
            images: [batch, height, width, channels]; 4 divides height and width.
            label: class of each image [batch]; needed where there are classes.
        """
        x = images
        for width in (self.width // 2, self.width):
            x = nn.leaky_relu(nn.Conv(width, (3, 3))(space_to_depth(x, 2)), 0.2)
        scores = nn.Dense(self.classes or 1)(x.reshape(len(x), -1))
        return (
            (scores * jax.nn.one_hot(label, self.classes, dtype=scores.dtype)).sum(-1)
            if self.classes
            else scores[:, 0]
        )


def normalised(params: Tree) -> Tree:
    """Divides every kernel by its spectral norm, see `kernels.spectral.spectral_norm`.

    Args:
        params: parameters; their last axis is that of the outputs, and all others are flattened to
            the rows of a matrix. Arrays of fewer than two axes are returned unchanged.

    Returns:
        A tree like `params`.

    Source: Miyato et al. 2018, sec. 2.1.
    """
    return jax.tree.map(
        lambda p: p / spectral_norm(p.reshape(-1, p.shape[-1])) if p.ndim > 1 else p, params
    )
