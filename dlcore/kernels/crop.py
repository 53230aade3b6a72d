"""Random crops of images, alone or together with their label maps, resized to one size."""

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

    The box has a fraction of the image's area, uniform in [smallest, 1], and an aspect ratio
    (relative to that of the image), log-uniform in [1 / ratio, ratio]. A box higher or wider than
    the image is cut to the image, where the original method draws again.

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
    """Computes matrices that resample a section of an axis to the axis's `size`, bilinearly.

    Pixel i covers [i, i + 1). Before the centre of the first pixel and after that of the last one,
    these pixels are repeated. There is no antialiasing, so `length` should not exceed `size` by
    much.

    Args:
        start: position at which the section begins [batch], in pixels, floating.
        length: of the section in pixels [batch].
        size: number of pixels along the axis, before and after resampling.

    Returns:
        Matrices [batch, size (new pixels), size (old pixels)], dtype of `start`; rows sum to 1.
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
    """Resamples each image by one matrix along its height and another one along its width.

    Args:
        images: [batch, height, width, c], floating.
        down: [batch, new height, height], dtype of `images`; see `bilinear_matrix`.
        across: [batch, new width, width], dtype of `images`.

    Returns:
        Images [batch, new height, new width, c], dtype of `images`.
    """
    precision = jax.lax.Precision.HIGHEST
    rows = jnp.einsum("bij,bjkc->bikc", down, images, precision=precision)
    return jnp.einsum("blk,bikc->bilc", across, rows, precision=precision).astype(images.dtype)


def random_boxes(
    key: PRNGKeyArray,
    row: Integer[Array, " batch"],
    scale: tuple[float, float],
    ratio: tuple[float, float] = (1.0, 1.0),
) -> Float[Array, "batch 4"]:
    """Draws one box per example, uniform in the logarithms of scale and ratio, and in position.

    Args:
        key: random key of the step.
        row: each example's index in the global batch [batch].
        scale: bounds of the box's scale, the geometric mean of its height and width as fractions of
            the image's. Where a fraction is above 1, the box contains the image along that axis.
        ratio: bounds of the ratio of the fractions, that of the width over that of the height.

    Returns:
        [batch, 4] in JAX's default floating type: top, left, height and width as fractions of the
        image's height and width.

    Source: Szegedy et al. 2015, sec. 6, with sides in place of areas.
    """
    draw = uniform(key, row, (4,))
    side, shape = (
        jnp.exp(jnp.log(low) + (jnp.log(high) - jnp.log(low)) * draw[:, i])
        for i, (low, high) in enumerate((scale, ratio))
    )
    height, width = side / jnp.sqrt(shape), side * jnp.sqrt(shape)
    return jnp.stack([draw[:, 2] * (1 - height), draw[:, 3] * (1 - width), height, width], -1)


def crop_images(
    images: Float[Array, "batch h w c"], boxes: Float[Array, "batch 4"], size: tuple[int, int]
) -> Float[Array, "batch h2 w2 c"]:
    """Cuts a box from each image and resizes it, bilinearly.

    Args:
        images: [batch, h, w, c], floating.
        boxes: [batch, 4], as of `random_boxes`.
        size: height and width of the result.

    Returns:
        [batch, *size, c], dtype of `images`; where a box exceeds the image, the image's border is
        repeated. There is no antialiasing.
    """

    def crop(image: Array, box: Array) -> Array:
        for axis in (0, 1):
            at = _positions(box[axis], box[axis + 2], image.shape[axis], size[axis])
            at = jnp.clip(at, 0, image.shape[axis] - 1)
            low = jnp.floor(at).astype(jnp.int32)
            high = jnp.minimum(low + 1, image.shape[axis] - 1)
            weight = (at - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
            first, second = (jnp.take(image, index, axis) for index in (low, high))
            image = first * (1 - weight) + second * weight
        return image

    return jax.vmap(crop)(images, boxes).astype(images.dtype)


def crop_labels(
    labels: Integer[Array, "batch h w"],
    boxes: Float[Array, "batch 4"],
    size: tuple[int, int],
    outside: int = 255,
) -> Integer[Array, "batch h2 w2"]:
    """Cuts a box from each label map and resizes it, by the nearest pixel.

    Args:
        labels: [batch, h, w], integers.
        boxes: [batch, 4], as of `random_boxes`.
        size: height and width of the result.
        outside: the label where a box exceeds the map.

    Returns:
        [batch, *size], dtype of `labels`.
    """

    def crop(image: Array, box: Array) -> Array:
        inside = []
        for axis in (0, 1):
            at = _positions(box[axis], box[axis + 2], image.shape[axis], size[axis])
            index = jnp.floor(at + 0.5).astype(jnp.int32)
            inside.append((index >= 0) & (index < labels.shape[axis + 1]))
            image = jnp.take(image, jnp.clip(index, 0, labels.shape[axis + 1] - 1), axis)
        return jnp.where(inside[0][:, None] & inside[1][None], image, outside)

    return jax.vmap(crop)(labels, boxes).astype(labels.dtype)


def _positions(start: Array, extent: Array, source: int, count: int) -> Array:
    """Where the centres of `count` pixels of a box lie among the `source` pixels of an axis."""
    dtype = jnp.promote_types(start.dtype, jnp.float32)
    centres = (jnp.arange(count, dtype=dtype) + 0.5) / count
    return (start.astype(dtype) + extent.astype(dtype) * centres) * source - 0.5
