"""Random crops of images that are resized to the image's own size."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from dlcore.kernels.random import uniform


def random_resized_crop(
    key: PRNGKeyArray,
    row: Integer[Array, " batch"],
    images: Float[Array, "batch height width c"],
    smallest: float = 0.08,
    ratio: float = 4 / 3,
) -> Float[Array, "batch height width c"]:
    """Crops a random box of each image and enlarges it to the image's size, bilinearly.

    The box has a fraction of the area, uniform in [smallest, 1], and an aspect ratio
    (relative to that of the image), log-uniform in [1 / ratio, ratio]. A side that would exceed the
    image is cut to it, where the original method draws again.

    Args:
        key: random key of the step.
        row: each example's index in the global batch [batch].
        images: [batch, height, width, c], floating.
        smallest: smallest fraction of the area, in (0, 1].
        ratio: largest aspect ratio, at least 1.

    Returns:
        Images, shape and dtype of `images`.

    Raises:
        ValueError: `smallest` or `ratio` is outside its range.

    Source: Szegedy et al. 2015, sec. 6.
    """
    if not 0 < smallest <= 1 or ratio < 1:
        raise ValueError(f"smallest={smallest} must be in (0, 1] and ratio={ratio} at least 1")
    u = uniform(key, row, (4,))
    area = smallest + (1 - smallest) * u[:, 0]
    aspect = jnp.exp((2 * u[:, 1] - 1) * jnp.log(ratio))
    box_height, box_width = (
        jnp.minimum(jnp.sqrt(area / aspect), 1),
        jnp.minimum(jnp.sqrt(area * aspect), 1),
    )
    height, width = images.shape[1:3]
    down = bilinear_matrix(u[:, 2] * (1 - box_height) * height, box_height * height, height)
    across = bilinear_matrix(u[:, 3] * (1 - box_width) * width, box_width * width, width)
    return resampled(images, down.astype(images.dtype), across.astype(images.dtype))


def bilinear_matrix(
    start: Float[Array, " batch"], length: Float[Array, " batch"], size: int
) -> Float[Array, "batch size size"]:
    """Matrices that resample `length` pixels from `start` on to `size` pixels, bilinearly.

    Pixel i covers [i, i + 1). Positions outside the centres of the first and the last pixel take
    these; there is no smoothing, so `length` should not exceed `size` by much.

    Args:
        start: position at which the section begins [batch], floating.
        length: of the section in pixels [batch].
        size: pixels before and after.

    Returns:
        Matrices [batch, new pixels, old pixels], dtype of `start`; each row sums to 1.
    """
    steps = (jnp.arange(size, dtype=start.dtype) + 0.5) / size
    position = jnp.clip(start[:, None] + steps[None] * length[:, None] - 0.5, 0, size - 1)
    distance = jnp.abs(position[..., None] - jnp.arange(size, dtype=start.dtype)[None, None])
    return jnp.maximum(1 - distance, 0)


def resampled(
    images: Float[Array, "batch height width c"],
    down: Float[Array, "batch new_height height"],
    across: Float[Array, "batch new_width width"],
) -> Float[Array, "batch new_height new_width c"]:
    """Applies a matrix to the columns of each image and another one to its rows.

    Args:
        images: [batch, height, width, c], floating.
        down, across: matrices of `bilinear_matrix`, same dtype.

    Returns:
        Images [batch, new height, new width, c], dtype of `images`.
    """
    precision = jax.lax.Precision.HIGHEST
    rows = jnp.einsum("bij,bjkc->bikc", down, images, precision=precision)
    return jnp.einsum("blk,bikc->bilc", across, rows, precision=precision).astype(images.dtype)
