"""Random crops of images together with their label maps, resized to one size."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer, PRNGKeyArray

from dlcore.kernels.random import uniform


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
        scale: smallest and largest side as a fraction of the image's: the geometric mean of both
            sides. Above 1 the box reaches over the image, which is inside it.
        ratio: smallest and largest ratio of the fractions of width and height.

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
        boxes: as of `random_boxes` [batch, 4].
        size: height and width of the result.

    Returns:
        [batch, *size, c], dtype of `images`; outside of an image its border is repeated.
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
        boxes: as of `random_boxes` [batch, 4].
        size: height and width of the result.
        outside: the label of what lies outside of a map.

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
