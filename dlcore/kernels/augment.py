"""Augmentation on the device, inside the compiled step: keyed by (seed, step, row), so that a resume repeats it for free."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from dlcore.kernels.random import per_example


def random_flip(key: Array, row: Array, images: Array) -> Array:
    """Each image [batch, height, width, c] mirrored left to right with probability one half."""
    mirrored = per_example(lambda k: jax.random.bernoulli(k), key, row)
    return jnp.where(mirrored[:, None, None, None], images[:, :, ::-1], images)


def random_shift(key: Array, row: Array, images: Array, pixels: int) -> Array:
    """Each image [batch, height, width, c] moved by up to `pixels` in both directions, zeros coming in (a padded random crop)."""
    _, height, width, channels = images.shape
    padded = jnp.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)))

    def crop(k: Array, image: Array) -> Array:
        corner = jax.random.randint(k, (2,), 0, 2 * pixels + 1)
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), (height, width, channels))

    return per_example(crop, key, row, padded)
