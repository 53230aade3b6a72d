"""Axis-aligned boxes: area, overlap, suppression of duplicates, and placement on a canvas.

A box is [left, top, right, bottom] in pixels: x grows to the right, y downwards, and the image's
first pixel covers [0, 1] x [0, 1]. A box without area stands for none: padding has zeros.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer


def area(boxes: Float[Array, "*batch 4"]) -> Float[Array, "*batch"]:
    """Computes the area of boxes, which is 0 where right <= left or bottom <= top.

    Args:
        boxes: left, top, right, bottom [..., 4], floating.

    Returns:
        Areas [...] in pixels squared, dtype of `boxes`.
    """
    upcast = _upcast(boxes)
    return _size(upcast).prod(-1).astype(boxes.dtype)


def iou(a: Float[Array, "*#batch 4"], b: Float[Array, "*#batch 4"]) -> Float[Array, "*#batch"]:
    """Computes the intersection over union of boxes.

    Args:
        a, b: boxes [..., 4], floating, broadcast against each other: `iou(a[:, None], b[None])`
            compares all pairs.

    Returns:
        [...] in [0, 1], dtype of `a`; 0 where neither box has an area. Its gradient is finite.
    """
    intersection, union, _ = _overlap(a, b)
    return _ratio(intersection, union).astype(a.dtype)


def generalised_iou(
    a: Float[Array, "*#batch 4"], b: Float[Array, "*#batch 4"]
) -> Float[Array, "*#batch"]:
    """Generalised IoU: iou - (enclosing area - area of the union) / enclosing area.

    The enclosing area is that of the smallest box around both. Unlike IoU it has a gradient where
    boxes are disjoint.

    Args:
        a, b: boxes [..., 4], floating, broadcast against each other.

    Returns:
        [...] in [-1, 1], dtype of `a`.

    Source: Rezatofighi et al. 2019, algorithm 1.
    """
    intersection, union, enclosing = _overlap(a, b)
    apart = _ratio(enclosing - union, enclosing)
    return (_ratio(intersection, union) - apart).astype(a.dtype)


def suppress(
    boxes: Float[Array, "batch n 4"],
    scores: Float[Array, "batch n"],
    labels: Integer[Array, "batch n"],
    limit: float,
) -> Float[Array, "batch n"]:
    """Sets the scores of duplicates to 0 (greedy non-maximum suppression within each class).

    In descending order of score (equal scores: in the order of the arguments), a box is a duplicate
    if its IoU with a kept box of its class is above `limit`. Boxes with a score of 0 suppress none.

    Args:
        boxes: [batch, n, 4], floating.
        scores: [batch, n], at least 0.
        labels: classes, int [batch, n].
        limit: largest IoU of two kept boxes of a class, in [0, 1].

    Returns:
        [batch, n]: the score of a kept box, 0 for a duplicate; order and dtype of `scores`.
    """

    def one(box: Array, score: Array, label: Array) -> Array:
        order = jnp.argsort(-score, stable=True)
        box, label, ordered = box[order], label[order], score[order]
        upcast = _upcast(box)
        near = (iou(upcast[:, None], upcast[None]) > limit) & (label[:, None] == label[None])
        later = jnp.arange(len(score))[None] > jnp.arange(len(score))[:, None]

        def step(i: Array, kept: Array) -> Array:
            return kept & ~(near[i] & later[i] & kept[i])

        kept = jax.lax.fori_loop(0, len(score), step, ordered > 0)
        return jnp.zeros_like(score).at[order].set(jnp.where(kept, ordered, 0))

    return jax.vmap(one)(boxes, scores, labels)


def place_boxes(
    boxes: Float[Array, "batch n 4"],
    placement: Float[Array, "batch 4"],
    window: Float[Array, "batch 4"],
    visible: float = 0.0,
) -> Float[Array, "batch n 4"]:
    """Scales and shifts boxes as `augment_boxes.place_images` does images, and clips them.

    Args:
        boxes: [batch, n, 4], floating; those without area become zeros.
        placement: (sx, sy, tx, ty) of each image [batch, 4]; a point (x, y) becomes
            (sx x + tx, sy y + ty).
        window: the part of the canvas to which boxes are clipped, a box [batch, 4].
        visible: a box becomes zeros if clipping leaves less than this fraction of its area.

    Returns:
        [batch, n, 4], dtype of `boxes`.
    """
    scale, shift = placement[:, None, :2], placement[:, None, 2:]
    moved = boxes * jnp.tile(scale, 2) + jnp.tile(shift, 2)
    low, high = jnp.tile(window[:, None, :2], 2), jnp.tile(window[:, None, 2:], 2)
    clipped = jnp.clip(moved, low, high)
    left, whole = _size(_upcast(clipped)).prod(-1), _size(_upcast(moved)).prod(-1)
    stays = (left > 0) & (left >= visible * whole)
    return jnp.where(stays[..., None], clipped, 0).astype(boxes.dtype)


def _upcast(x: Array) -> Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _size(boxes: Array) -> Array:
    """Width and height [..., 2], at least 0."""
    return jnp.maximum(boxes[..., 2:] - boxes[..., :2], 0)


def _overlap(a: Array, b: Array) -> tuple[Array, Array, Array]:
    """Areas of the intersection, of the union and of the smallest box around both."""
    a, b = _upcast(a), _upcast(b)
    low = jnp.maximum(a[..., :2], b[..., :2]), jnp.minimum(a[..., :2], b[..., :2])
    high = jnp.minimum(a[..., 2:], b[..., 2:]), jnp.maximum(a[..., 2:], b[..., 2:])
    intersection, enclosing = (
        jnp.maximum(end - start, 0).prod(-1) for start, end in zip(low, high, strict=True)
    )
    return intersection, _size(a).prod(-1) + _size(b).prod(-1) - intersection, enclosing


def _ratio(part: Array, total: Array) -> Array:
    """part / total, 0 where the total is 0."""
    there = total > 0
    return jnp.where(there, part, 0) / jnp.where(there, total, 1)
