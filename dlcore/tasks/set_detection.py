"""Object detection as set prediction: each object is assigned to one query (DETR).

Batches, evaluators, samples and predictor are those of `dlcore.tasks.detection`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from optax.assignment import hungarian_algorithm

from dlcore.data.checks import index_below
from dlcore.errors import UsageError
from dlcore.kernels import boxes as box_kernels
from dlcore.kernels.detection import focal_loss
from dlcore.tasks.detection import Detect, Detections
from dlcore.train.model import Logits
from dlcore.train.step import Batch, Extra, Loss, Mean, Out, Params, mean

_CLASS, _SIDES, _OVERLAP = 2.0, 5.0, 2.0  # weights of the terms (Zhu et al. 2021, app. A.4)


def check(grid: int, boxes: int, features: int, heads: int) -> None:
    """Checks the sizes of a `SetDetector` against the data.

    Args:
        grid: queries along each axis; there are grid^2.
        boxes: largest number of boxes of an image.
        features: channels of the queries.
        heads: of attention in the decoder.

    Raises:
        UsageError: fewer queries than boxes, or `features` is no multiple of 4 `heads`.
    """
    if boxes > grid**2:
        raise UsageError(f"--grid {grid} gives {grid**2} queries, fewer than {boxes} boxes")
    if features % (4 * heads):
        raise UsageError(f"--features {features} is no multiple of 4 times --heads {heads}")


def loss(model: Logits, classes: int) -> Loss:
    """Returns 2 (focal loss of classes) + 5 (L1 distance) + 2 (1 - generalised IoU), per object.

    In each layer each object is assigned to one query, so that the sum of the costs, with the same
    factors as in the loss, is smallest; the target of all other queries is no class. The focal loss
    is summed over all queries and classes, the other terms over the objects, and all terms over the
    layers; the sums are divided by the batch's number of objects, where an image without objects
    counts as one. Metrics: `class_loss`, `side_loss` (of sides relative to the canvas) and
    `overlap_loss` of the last layer, before their factors.

    Args:
        model: computes [layers, batch, queries, classes + 4]: logits, and boxes (left, top, right,
            bottom) in pixels, of a batch with `image` [batch, height, width, c], `boxes`
            [batch, n, 4] likewise, of area 0 at padding, `label` int [batch, n] and `mask` float
            [batch]; there are at least n queries.
        classes: number of classes.

    Source: Carion et al. 2020, eqs. 1 and 2, with the focal loss of Zhu et al. 2021, app. A.4.
    """

    def of_sets(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        y, extra = model(params, extra, batch, key, train)
        y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
        index_below("label", classes)
        height, width = batch["image"].shape[1:3]
        canvas = jnp.asarray([width, height] * 2, y.dtype)
        boxes, mask = batch["boxes"].astype(y.dtype), batch["mask"]
        there = box_kernels.area(boxes) > 0

        def of_example(y: Array, box: Array, label: Array, there: Array) -> tuple[Array, ...]:
            return _terms(y[:, :classes], y[:, classes:], box, label, there, canvas)

        each = jax.vmap(jax.vmap(of_example), (0, None, None, None))
        terms = each(y, boxes, batch["label"], there)
        weights = (jnp.maximum(there.sum(-1), 1) * mask).sum().astype(y.dtype)

        def averaged(x: Array) -> Mean:
            return Mean(mean(x, mask).total, weights)

        of_classes, sides, apart = (term.sum(0) for term in terms)
        total = _CLASS * of_classes + _SIDES * sides + _OVERLAP * apart
        names = ("class_loss", "side_loss", "overlap_loss")
        shown = {n: averaged(term[-1]) for n, term in zip(names, terms, strict=True)}
        return Out(averaged(total), shown, extra)

    return of_sets


def _terms(
    logits: Array, found: Array, boxes: Array, label: Array, there: Array, canvas: Array
) -> tuple[Array, Array, Array]:
    """Sums over the objects of an image: of the focal loss, absolute distances, and 1 - GIoU."""
    classes = logits.shape[-1]
    distance = jnp.abs(found[:, None] - boxes[None]) / canvas[None, None]
    overlap = box_kernels.generalised_iou(found[:, None], boxes[None])
    positive = focal_loss(logits, jnp.ones_like(logits))
    negative = focal_loss(logits, jnp.zeros_like(logits))
    cost = _CLASS * (positive - negative)[:, label] + _SIDES * distance.sum(-1) - _OVERLAP * overlap
    # An object that is not there costs each query the same, and a cost that is no number would
    # never let the assignment end.
    cost = jnp.nan_to_num(jnp.where(there[None], cost, 0.0), nan=1e6, posinf=1e6, neginf=-1e6)
    query, index = hungarian_algorithm(jax.lax.stop_gradient(cost))
    assigned = there[index]
    target = jax.nn.one_hot(label[index], classes) * assigned[:, None]
    targets = jnp.zeros_like(logits).at[query].add(target.astype(logits.dtype))
    sides = jnp.where(assigned, distance[query, index].sum(-1), 0).sum()
    apart = jnp.where(assigned, 1 - overlap[query, index], 0).sum()
    return focal_loss(logits, targets).sum(), sides, apart


def detections(model: Logits, classes: int, most: int = 100) -> Detect:
    """Returns the function that detects objects by a network that predicts sets.

    Of all pairs of a query and a class, those of the highest probability are returned; no
    duplicates are suppressed. Boxes are clipped to the `extent` of their image; those that have no
    area then get confidence 0.

    Args:
        model, classes: as of `loss`; the last layer is used.
        most: number of detections of an image, unless it has fewer pairs.

    Returns:
        (params, extra, batch with `image` and `extent`, width and height [batch, 2] in pixels) ->
        `Detections`, by descending probability.
    """

    def detect(params: Params, extra: Extra, batch: Batch) -> Detections:
        y = model(params, extra, batch, None, False)[0][-1]
        y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
        heat = jax.nn.sigmoid(y[..., :classes]).reshape(len(y), -1)
        confidence, index = jax.lax.top_k(heat, min(most, heat.shape[1]))
        boxes = jnp.take_along_axis(y[..., classes:], (index // classes)[..., None], 1)
        extent = batch["extent"][:, None]
        boxes = jnp.clip(boxes, 0, jnp.concatenate([extent, extent], -1))
        confidence = jnp.where(box_kernels.area(boxes) > 0, confidence, 0)
        return Detections(boxes, confidence, (index % classes).astype(jnp.int32))

    return detect
