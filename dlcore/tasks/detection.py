"""Object detection with heat maps of centres: loss, and detected objects.

Batches have the fields of `dlcore.data.sets.detection.load`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.data.checks import index_below
from dlcore.data.source import Source
from dlcore.kernels import boxes as box_kernels
from dlcore.kernels import detection as kernels
from dlcore.metrics.detection import Objects
from dlcore.train.batched import over_source
from dlcore.train.evaluators import Collected
from dlcore.train.model import Logits
from dlcore.train.step import Batch, Extra, Loss, Mean, Out, Params, State, mean

BATCH = 16  # images that are detected at a time outside of training


class Detections(NamedTuple):
    """Detected objects of a batch of images; an entry with confidence 0 is no object.

    Attributes:
        boxes: left, top, right, bottom [batch, k, 4] in pixels of the canvas.
        confidence: [batch, k] in [0, 1], descending but for zeros, which may be anywhere.
        label: classes, int32 [batch, k].
    """

    boxes: Array
    confidence: Array
    label: Array


Detect = Callable[[Params, Extra, Any], Detections]
"""(params, extra, batch with `image` and `extent`) -> the detections in its images."""


def loss(model: Logits, classes: int, stride: int, box_weight: float = 5.0) -> Loss:
    """Returns the focal loss of the heat maps plus the generalised IoU loss of the boxes.

    Both are sums over the cells of a batch, divided by its number of objects; an image without
    objects counts as one object. In the box term the weights of an object's cells sum to 1
    (`kernels.detection.centre_boxes`). Metrics: `heat_loss`; `box_loss`, without its factor; and
    `giou`, the unweighted mean generalised IoU of the cells that have a box.

    Args:
        model: computes [batch, h, w, classes + 4]: logits of the heat maps, and distances from the
            cell's centre to the sides of the box in pixels, of a batch with the fields of
            `data.sets.detection.load` and `mask`, float [batch].
        classes: number of classes.
        stride: pixels of a cell along each axis.
        box_weight: factor of the box term.

    Source: CenterNet (Zhou et al. 2019), with the boxes of TTFNet (Liu et al. 2020).
    """

    def of_boxes(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        y, extra = model(params, extra, batch, key, train)
        y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
        index_below("label", classes)
        shape, boxes = (y.shape[1], y.shape[2]), batch["boxes"].astype(y.dtype)
        heat = kernels.centre_heat(boxes, batch["label"], shape, stride, classes)
        focal = kernels.heat_loss(y[..., :classes], heat).sum((1, 2, 3))
        found = kernels.boxes_of_distances(y[..., classes:], stride)
        target, weight = kernels.centre_boxes(boxes, shape, stride)
        overlap = box_kernels.generalised_iou(found, target)
        box = ((1 - overlap) * weight).sum((1, 2))
        objects, mask = (box_kernels.area(boxes) > 0).sum(-1), batch["mask"]
        weights = (jnp.maximum(objects, 1) * mask).sum().astype(y.dtype)

        def each(x: Array) -> Mean:
            return Mean(mean(x, mask).total, weights)

        cells = mask[:, None, None] * (weight > 0)
        terms = {"heat_loss": each(focal), "box_loss": each(box), "giou": mean(overlap, cells)}
        return Out(each(focal + box_weight * box), terms, extra)

    return of_boxes


def detections(
    model: Logits, classes: int, stride: int, most: int = 100, overlap: float = 0.6
) -> Detect:
    """Returns the function that detects objects by a network with heat maps.

    A detection is a cell with the largest probability among its 3x3 neighbours, for each class; the
    `most` probable ones are kept, and duplicates of a class suppressed.

    Args:
        model, classes, stride: as of `loss`.
        most: largest number of detections of an image.
        overlap: IoU above which the less confident of two boxes of a class is a duplicate; its
            confidence becomes 0.

    Returns:
        (params, extra, batch with `image` and `extent`) -> `Detections`, boxes clipped to `extent`.
    """

    def detect(params: Params, extra: Extra, batch: Batch) -> Detections:
        y = model(params, extra, batch, None, False)[0]
        y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
        heat = jax.nn.sigmoid(y[..., :classes])
        around = jax.lax.reduce_window(
            heat, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 1, 1, 1), "SAME"
        )
        peaks = jnp.where(heat >= around, heat, 0).reshape(len(heat), -1)
        confidence, index = jax.lax.top_k(peaks, min(most, peaks.shape[1]))
        boxes = kernels.boxes_of_distances(y[..., classes:], stride).reshape(len(heat), -1, 4)
        boxes = jnp.take_along_axis(boxes, (index // classes)[..., None], 1)
        extent = batch["extent"][:, None]
        boxes = jnp.clip(boxes, 0, jnp.concatenate([extent, extent], -1))
        label = (index % classes).astype(jnp.int32)
        confidence = jnp.where(box_kernels.area(boxes) > 0, confidence, 0)
        return Detections(boxes, box_kernels.suppress(boxes, confidence, label, overlap), label)

    return detect


# cached, since several seeds of one program call it one after the other with arrays of one shape
@functools.lru_cache(maxsize=1)
def compiled(detect: Detect) -> Detect:
    """Compiles a detector; the compiled function of the last one is kept."""
    return jax.jit(detect)


def objects(detect: Detect, state: State, source: Source) -> tuple[list[Objects], list[Objects]]:
    """Computes the true and the detected objects of all examples of a source.

    Args:
        detect: finds objects.
        state: trained parameters.
        source: see `dlcore.data.sets.detection.load`.

    Returns:
        True and detected objects of each image, in pixels of the original image.
    """
    return in_images(collected(detect, state, source))


def collected(detect: Detect, state: State, source: Source) -> Collected:
    """Computes detections and true objects of all examples of a source, see `in_images`."""
    run = compiled(detect)

    def of_batch(rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray | Array]:
        return {**truth(rows), **run(state.params, state.extra, rows)._asdict()}

    return over_source(of_batch, source, min(BATCH, len(source)))


def in_images(collected: Collected) -> tuple[list[Objects], list[Objects]]:
    """Converts collected arrays to the true and the detected objects of each image.

    Args:
        collected: on the host: `true_boxes` [images, n, 4] and `true_label`
            [images, n], of which the first `count` [images] are objects; `scale` [images], pixels
            of the canvas per pixel of the image; and the fields of `Detections`.

    Returns:
        True and detected objects of each image, in its own pixels, without those of confidence 0.
    """
    true, found = [], []
    for i, scale in enumerate(collected["scale"].astype(np.float64)):
        count = int(collected["count"][i])
        boxes, label = collected["true_boxes"][i, :count], collected["true_label"][i, :count]
        true.append(Objects(boxes / scale, label, np.ones(count)))
        there = collected["confidence"][i] > 0
        parts = (collected[name][i][there] for name in ("boxes", "label", "confidence"))
        boxes, label, confidence = parts
        found.append(Objects(boxes / scale, label, confidence.astype(np.float64)))
    return true, found


def truth(batch: Mapping[str, np.ndarray] | Batch) -> dict[str, np.ndarray | Array]:
    """Returns the true objects of a batch: `true_boxes`, `true_label`, `count` and `scale`."""
    fields = {"true_boxes": "boxes", "true_label": "label", "count": "count", "scale": "scale"}
    return {name: batch[field] for name, field in fields.items()}
