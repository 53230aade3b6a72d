"""Augmentation on the device, inside the compiled step: keyed by (seed, step, row), so that a
resume repeats it for free.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from dlcore.kernels.random import per_example, uniform


def random_flip(key: Array, row: Array, images: Array) -> Array:
    """Each image [batch, height, width, c] mirrored left to right with probability one half."""
    mirrored = per_example(lambda k: jax.random.bernoulli(k), key, row)
    return jnp.where(mirrored[:, None, None, None], images[:, :, ::-1], images)


def random_shift(key: Array, row: Array, images: Array, pixels: int) -> Array:
    """Each image [batch, height, width, c] moved by up to `pixels` in both directions, zeros coming
    in (a padded random crop).
    """
    _, height, width, channels = images.shape
    padded = jnp.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)))

    def crop(k: Array, image: Array) -> Array:
        corner = jax.random.randint(k, (2,), 0, 2 * pixels + 1)
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), (height, width, channels))

    return per_example(crop, key, row, padded)


def random_erase(key: Array, row: Array, images: Array, size: int) -> Array:
    """A `size` x `size` square of each image [batch, height, width, c] becomes zeros (cutout,
    DeVries & Taylor 2017).

    Its centre is any pixel, so that squares reach over the border; dtype kept.
    """
    _, height, width, _ = images.shape
    erased = per_example(
        lambda k: _box(k, height, width, jnp.asarray(size), jnp.asarray(size)), key, row
    )
    return jnp.where(erased[..., None], jnp.zeros_like(images), images)


def mixup(
    key: Array, row: Array, images: Array, paired: Array, alpha: float
) -> tuple[Array, Array]:
    """share x + (1 - share) partner with share ~ Beta(alpha, alpha) a row (Zhang et al. 2018, eq.
    1); and share [batch].

    images and paired [batch, ...] of one floating type, which the share has too. Raises ValueError
    unless alpha > 0.
    """
    share = _share(key, row, alpha).astype(images.dtype)
    part = share.reshape(-1, *(1,) * (images.ndim - 1))
    return part * images + (1 - part) * paired, share


def cutmix(
    key: Array, row: Array, images: Array, paired: Array, alpha: float
) -> tuple[Array, Array]:
    """A box of the partner pasted into each image (Yun et al. 2019, eqs. 1 and 2); and the share
    [batch] of pixels that stayed.

    images and paired [batch, height, width, c] of one floating type, which the share has too. The
    box has sqrt(1 - Beta(alpha, alpha)) of each side and its centre anywhere; what reaches over the
    border is cut, and the share is of what is left. Raises ValueError unless alpha > 0.
    """
    _, height, width, _ = images.shape
    sides = jnp.sqrt(1 - _share(key, row, alpha))

    def draw(k: Array, side: Array) -> Array:
        box_height, box_width = (jnp.round(side * n).astype(jnp.int32) for n in (height, width))
        return _box(jax.random.fold_in(k, 1), height, width, box_height, box_width)

    box = per_example(draw, key, row, sides)
    share = 1 - box.mean((1, 2), dtype=sides.dtype)
    return jnp.where(box[..., None], paired, images), share.astype(images.dtype)


def _share(key: Array, row: Array, alpha: float) -> Array:
    if alpha <= 0:
        raise ValueError(f"a Beta distribution needs an alpha above 0, not {alpha}")
    if alpha == 1:  # uniform, without the loops that draw from a Gamma distribution
        return uniform(key, row)
    return per_example(lambda k: jax.random.beta(k, alpha, alpha), key, row)


def _box(key: Array, height: int, width: int, box_height: Array, box_width: Array) -> Array:
    """True in a box of `tall` x `wide` pixels around a random pixel: bool [height, width]."""
    top = jax.random.randint(jax.random.fold_in(key, 0), (), 0, height) - box_height // 2
    left = jax.random.randint(jax.random.fold_in(key, 1), (), 0, width) - box_width // 2
    i, j = jnp.arange(height)[:, None], jnp.arange(width)[None]
    return (i >= top) & (i < top + box_height) & (j >= left) & (j < left + box_width)
