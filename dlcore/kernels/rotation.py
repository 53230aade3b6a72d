"""Random rotation of images."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Float, Integer, PRNGKeyArray

from dlcore.kernels.random import uniform


def random_rotation(
    key: PRNGKeyArray,
    row: Integer[Array, " batch"],
    images: Float[Array, "batch height width c"],
    degrees: float,
) -> Float[Array, "batch height width c"]:
    """Rotates each image about its centre by an angle uniform in [-degrees, degrees], bilinearly.

    Args:
        key: random key of the step.
        row: each example's index in the global batch [batch].
        images: [batch, height, width, c], floating.
        degrees: largest angle, in degrees.

    Returns:
        Images, shape and dtype of `images`; pixels from outside an image have the value of the
        nearest pixel of its border.
    """
    dtype = jnp.promote_types(images.dtype, jnp.float32)
    angle = ((2 * uniform(key, row) - 1) * math.radians(degrees)).astype(dtype)
    height, width = images.shape[1:3]
    y = jnp.arange(height, dtype=dtype)[:, None] - (height - 1) / 2
    x = jnp.arange(width, dtype=dtype)[None] - (width - 1) / 2
    y, x = jnp.broadcast_arrays(y, x)

    def turned(angle: Array, image: Array) -> Array:
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        places = [cos * y - sin * x + (height - 1) / 2, sin * y + cos * x + (width - 1) / 2]
        planes = [
            map_coordinates(image[..., c], places, order=1, mode="nearest")
            for c in range(image.shape[-1])
        ]
        return jnp.stack(planes, -1)

    return jax.vmap(turned)(angle, images.astype(dtype)).astype(images.dtype)
