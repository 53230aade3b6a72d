"""Image augmentation on the device, inside the compiled step.

Every draw is a function of (seed, step, row), so that a resumed run repeats it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer, PRNGKeyArray, Shaped

from dlcore.kernels.random import per_example, uniform


def random_flip(
    key: PRNGKeyArray,
    row: Integer[Array, " batch"],
    images: Shaped[Array, "batch height width c"],
) -> Shaped[Array, "batch height width c"]:
    """Mirrors each image left to right with probability one half.

    Args:
        key: random key of the step.
        row: each example's index in the global batch [batch].
        images: [batch, height, width, c], any dtype.

    Returns:
        Images, shape and dtype of `images`.
    """
    mirrored = per_example(lambda k: jax.random.bernoulli(k), key, row)
    return jnp.where(mirrored[:, None, None, None], images[:, :, ::-1], images)


def random_shift(
    key: PRNGKeyArray,
    row: Integer[Array, " batch"],
    images: Shaped[Array, "batch height width c"],
    pixels: int,
) -> Shaped[Array, "batch height width c"]:
    """Shifts each image by whole pixels, along each axis uniform in -`pixels` to `pixels`.

    Args:
        key: random key of the step.
        row: each example's index in the global batch [batch].
        images: [batch, height, width, c], any dtype.
        pixels: the largest shift in pixels.

    Returns:
        Images, shape and dtype of `images`; pixels from outside the image are 0.
    """
    _, height, width, channels = images.shape
    padded = jnp.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)))

    def crop(k: Array, image: Array) -> Array:
        corner = jax.random.randint(k, (2,), 0, 2 * pixels + 1)
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), (height, width, channels))

    return per_example(crop, key, row, padded)


def random_erase(
    key: PRNGKeyArray,
    row: Integer[Array, " batch"],
    images: Shaped[Array, "batch height width c"],
    size: int,
) -> Shaped[Array, "batch height width c"]:
    """Sets a random square of each image to 0 (cutout).

    Args:
        key: random key of the step.
        row: each example's index in the global batch [batch].
        images: [batch, height, width, c], any dtype.
        size: height and width of the square in pixels. Its centre is any pixel of the image, so
            that it may reach over the border.

    Returns:
        Images, shape and dtype of `images`.

    Source: DeVries & Taylor 2017.
    """
    _, height, width, _ = images.shape
    erased = per_example(
        lambda k: _box(k, height, width, jnp.asarray(size), jnp.asarray(size)), key, row
    )
    return jnp.where(erased[..., None], jnp.zeros_like(images), images)


def mixup(
    key: PRNGKeyArray,
    row: Integer[Array, " batch"],
    images: Float[Array, " batch *example"],
    paired: Float[Array, " batch *example"],
    alpha: float,
) -> tuple[Float[Array, " batch *example"], Float[Array, " batch"]]:
    """Mixup: fraction x + (1 - fraction) paired, one fraction ~ Beta(alpha, alpha) per example.

    Args:
        key: random key of the step.
        row: each example's index in the global batch [batch].
        images: examples [batch, ...], floating.
        paired: the example that each is mixed with, shape and dtype of `images`.
        alpha: both parameters of the Beta distribution, above 0.

    Returns:
        Mixed examples, shape and dtype of `images`; the fraction of the original [batch], same
        dtype.

    Raises:
        ValueError: alpha is not above 0.

    Source: Zhang et al. 2018, eq. 1.
    """
    fraction = _beta(key, row, alpha).astype(images.dtype)
    weight = fraction.reshape(-1, *(1,) * (images.ndim - 1))
    return weight * images + (1 - weight) * paired, fraction


def cutmix(
    key: PRNGKeyArray,
    row: Integer[Array, " batch"],
    images: Float[Array, "batch height width c"],
    paired: Float[Array, "batch height width c"],
    alpha: float,
) -> tuple[Float[Array, "batch height width c"], Float[Array, " batch"]]:
    """CutMix: pastes a random box of the paired image into each image.

    The box has sqrt(1 - Beta(alpha, alpha)) of the image's height and width and its centre at any
    pixel; what reaches over the border is cut off, and the fraction accounts for that.

    Args:
        key: random key of the step.
        row: each example's index in the global batch [batch].
        images: [batch, height, width, c], floating.
        paired: the image that each box is taken from, shape and dtype of `images`.
        alpha: both parameters of the Beta distribution, above 0.

    Returns:
        Images, shape and dtype of `images`; the fraction of original pixels [batch], same dtype.

    Raises:
        ValueError: alpha is not above 0.

    Source: Yun et al. 2019, eqs. 1 and 2.
    """
    _, height, width, _ = images.shape
    scales = jnp.sqrt(1 - _beta(key, row, alpha))

    def draw_box(k: Array, scale: Array) -> Array:
        box_height, box_width = (jnp.round(scale * n).astype(jnp.int32) for n in (height, width))
        return _box(jax.random.fold_in(k, 1), height, width, box_height, box_width)

    box = per_example(draw_box, key, row, scales)
    fraction = 1 - box.mean((1, 2), dtype=scales.dtype)
    return jnp.where(box[..., None], paired, images), fraction.astype(images.dtype)


def _beta(key: Array, row: Array, alpha: float) -> Array:
    """One draw of Beta(alpha, alpha) per example."""
    if alpha <= 0:
        raise ValueError(f"a Beta distribution needs an alpha above 0, not {alpha}")
    if alpha == 1:  # uniform, without the loops that draw from a Gamma distribution
        return uniform(key, row)
    return per_example(lambda k: jax.random.beta(k, alpha, alpha), key, row)


def _box(key: Array, height: int, width: int, box_height: Array, box_width: Array) -> Array:
    """True in a box of the given size around a random pixel: bool [height, width]."""
    top = jax.random.randint(jax.random.fold_in(key, 0), (), 0, height) - box_height // 2
    left = jax.random.randint(jax.random.fold_in(key, 1), (), 0, width) - box_width // 2
    i, j = jnp.arange(height)[:, None], jnp.arange(width)[None]
    return (i >= top) & (i < top + box_height) & (j >= left) & (j < left + box_width)
