"""Augmentation of images with boxes on a canvas of one size, inside the compiled step.

Every draw is a function of (seed, step, row). An image is placed on the canvas by a scale and a
shift for each axis (a placement); its boxes follow by `boxes.place_boxes`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer, PRNGKeyArray, Shaped

from dlcore.kernels.random import per_example


def random_placement(
    key: PRNGKeyArray,
    row: Integer[Array, " batch"],
    extent: Float[Array, "batch 2"],
    window: Float[Array, "batch 4"],
    scales: tuple[float, float],
    aspect: float = 1.0,
) -> Float[Array, "batch 4"]:
    """Draws where images are placed: random resized crops, and smaller images on a larger canvas.

    The scale along x is s sqrt(a) and that along y is s / sqrt(a), with s log-uniform in `scales`
    and a log-uniform in [1 / aspect, aspect]. Along each axis the shift is uniform among those for
    which the scaled image covers the window or, where it is smaller, lies within it.

    Args:
        key: random key of the step.
        row: each example's index in the global batch [batch].
        extent: width and height of each image [batch, 2] in pixels.
        window: the part of the canvas that is filled [batch, 4], (x0, y0, x1, y1) in pixels.
        scales: smallest and largest s.
        aspect: largest ratio of the scales along x and y, at least 1.

    Returns:
        Placements (sx, sy, tx, ty) [batch, 4], dtype of `extent`: the point (x, y) of an image, in
        pixels, is at (sx x + tx, sy y + ty) of the canvas.

    Source: large-scale jitter, Ghiasi et al. 2021, sec. 3.
    """
    dtype = jnp.promote_types(extent.dtype, jnp.float32)
    draws = per_example(lambda k: jax.random.uniform(k, (4,), jnp.float32), key, row).astype(dtype)
    low, high = (jnp.log(jnp.asarray(scale, dtype)) for scale in scales)
    half = (draws[:, 1] - 0.5) * jnp.log(jnp.asarray(aspect, dtype))
    scale = low + draws[:, 0] * (high - low)
    scale = jnp.exp(jnp.stack([scale + half, scale - half], -1))
    first = window[:, :2].astype(dtype)
    last = window[:, 2:].astype(dtype) - scale * extent.astype(dtype)
    least, most = jnp.minimum(first, last), jnp.maximum(first, last)
    shift = least + draws[:, 2:] * (most - least)
    return jnp.concatenate([scale, shift], -1).astype(extent.dtype)


def place_images(
    images: Float[Array, "batch height width c"], placement: Float[Array, "batch 4"]
) -> Float[Array, "batch height width c"]:
    """Scales and shifts images on a canvas of their size; what they do not cover is 0.

    Pixels are interpolated linearly. Where an image becomes smaller, the triangle of the
    interpolation is widened to the distance of output pixels (antialiasing), as in
    `jax.image.scale_and_translate`.

    Args:
        images: [batch, height, width, c], floating.
        placement: (sx, sy, tx, ty) of each image [batch, 4]; its point (x, y), in pixels, is at
            (sx x + tx, sy y + ty) of the canvas.

    Returns:
        Images, shape and dtype of `images`.
    """
    _, height, width, _ = images.shape
    dtype = jnp.promote_types(images.dtype, jnp.float32)
    place = placement.astype(dtype)
    across = jax.vmap(lambda s, t: _weights(width, s, t))(place[:, 0], place[:, 2])
    down = jax.vmap(lambda s, t: _weights(height, s, t))(place[:, 1], place[:, 3])
    placed = jnp.einsum("byi,bijc->byjc", down, images.astype(dtype))
    return jnp.einsum("bxj,byjc->byxc", across, placed).astype(images.dtype)


def random_mirror(
    key: PRNGKeyArray,
    row: Integer[Array, " batch"],
    images: Shaped[Array, "batch height width c"],
    boxes: Float[Array, "batch n 4"],
    vertical: bool = False,
) -> tuple[Shaped[Array, "batch height width c"], Float[Array, "batch n 4"]]:
    """Mirrors each image and its boxes left to right with probability 1/2.

    Args:
        key: random key of the step.
        row: each example's index in the global batch [batch].
        images: [batch, height, width, c], any dtype.
        boxes: left, top, right, bottom [batch, n, 4] in pixels; those without area do not change.
        vertical: whether images are mirrored upside down too, with probability 1/2.

    Returns:
        Images and boxes, shapes and dtypes of the arguments.
    """
    _, height, width, _ = images.shape
    boxes = jnp.asarray(boxes)
    chosen = per_example(lambda k: jax.random.bernoulli(k, 0.5, (2,)), key, row)
    there = (boxes[..., 2:] > boxes[..., :2]).all(-1, keepdims=True)
    for axis, size in ((0, width), (1, height))[: 2 if vertical else 1]:
        mirrored = chosen[:, axis]
        flipped = images[:, :, ::-1] if axis == 0 else images[:, ::-1]
        images = jnp.where(mirrored[:, None, None, None], flipped, images)
        turned = boxes.at[..., axis].set(size - boxes[..., axis + 2])
        turned = turned.at[..., axis + 2].set(size - boxes[..., axis])
        boxes = jnp.where(mirrored[:, None, None] & there, turned, boxes)
    return images, boxes


def mosaic_windows(
    key: PRNGKeyArray,
    row: Integer[Array, " batch"],
    canvas: Float[Array, " axes"],
    margin: float = 0.25,
) -> Float[Array, "batch 4 4"]:
    """Divides a canvas into four windows around a random point, one for each image of a mosaic.

    Args:
        key: random key of the step.
        row: each example's index in the global batch [batch].
        canvas: width and height [2] in pixels, floating.
        margin: smallest distance of the point from the sides, a fraction of the canvas below 0.5;
            the point is rounded to whole pixels.

    Returns:
        Windows [batch, 4, 4]: above left, above right, below left and below right of the point,
        each (left, top, right, bottom) in pixels; dtype of `canvas`.

    Source: Bochkovskiy et al. 2020 (YOLOv4), sec. 3.3.
    """
    dtype = jnp.promote_types(canvas.dtype, jnp.float32)
    draws = per_example(lambda k: jax.random.uniform(k, (2,), jnp.float32), key, row).astype(dtype)
    point = jnp.round(canvas.astype(dtype)[None] * (margin + draws * (1 - 2 * margin)))
    zero = jnp.zeros_like(point[:, 0])
    right, bottom = (jnp.broadcast_to(canvas[i].astype(dtype), zero.shape) for i in range(2))
    x, y = point[:, 0], point[:, 1]
    corners = ((zero, zero, x, y), (x, zero, right, y), (zero, y, x, bottom), (x, y, right, bottom))
    return jnp.stack([jnp.stack(corner, -1) for corner in corners], 1).astype(canvas.dtype)


def in_windows(
    images: Float[Array, "batch k height width c"], windows: Float[Array, "batch k 4"]
) -> Float[Array, "batch height width c"]:
    """Takes each pixel from the image whose window contains the pixel's centre; 0 where none does.

    Args:
        images: k placed images of each example [batch, k, height, width, c].
        windows: left, top, right, bottom of each [batch, k, 4] in pixels; they do not overlap.

    Returns:
        Images [batch, height, width, c], dtype of `images`.
    """
    height, width = images.shape[2:4]
    x, y = (jnp.arange(n)[None, None] + 0.5 for n in (width, height))
    inside_x = (x >= windows[..., :1]) & (x < windows[..., 2:3])
    inside_y = (y >= windows[..., 1:2]) & (y < windows[..., 3:])
    inside = inside_y[..., :, None, None] & inside_x[..., None, :, None]
    return jnp.where(inside, images, 0).sum(1).astype(images.dtype)


def random_colour(
    key: PRNGKeyArray,
    row: Integer[Array, " batch"],
    images: Float[Array, "batch height width c"],
    strength: float,
) -> Float[Array, "batch height width c"]:
    """Changes contrast and brightness of each channel of an image at random: x (1 + g) + h.

    g is the mean of two draws, uniform in [-strength, strength]: one for all channels of the image
    and one for the channel. h is drawn in the same way.

    Args:
        key: random key of the step.
        row: each example's index in the global batch [batch].
        images: [batch, height, width, c], floating, in [-1, 1].
        strength: largest |g| and |h|.

    Returns:
        Images, shape and dtype of `images`; values may leave the range.
    """
    shape, dtype = (2, images.shape[-1] + 1), jnp.promote_types(images.dtype, jnp.float32)
    draws = per_example(lambda k: jax.random.uniform(k, shape, jnp.float32), key, row).astype(dtype)
    draws = (draws * 2 - 1) * strength
    gain, bias = ((draws[:, i, :1] + draws[:, i, 1:])[:, None, None] / 2 for i in range(2))
    return (images.astype(dtype) * (1 + gain) + bias).astype(images.dtype)


def _weights(size: int, scale: Array, shift: Array) -> Array:
    """[size, size]: how much output pixel i takes of input pixel j along an axis."""
    pixels = jnp.arange(size, dtype=scale.dtype)
    at = (pixels + 0.5 - shift) / scale - 0.5
    distance = jnp.abs(at[:, None] - pixels[None]) / jnp.maximum(1 / scale, 1)
    weights = jnp.maximum(1 - distance, 0)
    total = weights.sum(1, keepdims=True)
    covered = (at >= -0.5) & (at <= size - 0.5)
    return jnp.where(covered[:, None], weights / jnp.where(total > 0, total, 1), 0)
