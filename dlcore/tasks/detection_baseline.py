"""A baseline of detection that ignores the image: the same boxes for every image."""

from __future__ import annotations

import numpy as np

from dlcore.data.source import Arrays, Batch, Partnered, Source
from dlcore.metrics.detection import Objects, pairwise_iou

_EACH = 30  # boxes of each class
_FIELDS = ("boxes", "label", "count", "extent")
_CHUNK = 256  # examples that are read at a time
_STEP = 0.5  # distance of the boxes that are tried, in sizes of a box
_SIDE = 64  # boxes that are tried along an axis at most


def constant(source: Source, classes: int) -> Objects:
    """Computes the boxes of each class that most often match an object of it in training.

    Candidates are boxes of the class's median width and height, on a grid with steps of half of
    these, or of a 64th of the canvas where that is more. The confidence of a box is the fraction of
    training images in which its IoU with an object of the class is at least 0.5; the 30 most
    confident boxes of each class are kept.

    Args:
        source: training examples, see `dlcore.data.sets.detection.load`; partners of theirs, as for
            mosaics, are not read.
        classes: number of classes.

    Returns:
        Boxes in pixels of the canvas; none of a class without objects.
    """
    batch = _without_images(source)
    there = np.arange(batch["boxes"].shape[1]) < batch["count"][:, None]
    boxes, labels, confidence = [np.zeros((0, 4))], [np.zeros(0, int)], [np.zeros(0)]
    for label in range(classes):
        chosen = there & (batch["label"] == label)
        if not chosen.any():
            continue
        grid = _grid(batch["boxes"][chosen], batch["extent"].max(0))
        hit = np.zeros(len(grid))
        for image, each in zip(batch["boxes"], chosen, strict=True):
            if each.any():
                hit += (pairwise_iou(grid, image[each]) >= 0.5).any(1)
        best = np.argsort(-hit, kind="stable")[:_EACH]
        boxes.append(grid[best])
        confidence.append(hit[best] / len(there))
        labels.append(np.full(len(best), label))
    return Objects(np.concatenate(boxes), np.concatenate(labels), np.concatenate(confidence))


def _without_images(source: Source) -> Batch:
    """`_FIELDS` of all examples: all their images would not fit into memory."""
    if isinstance(source, Partnered):
        source = source.source
    if isinstance(source, Arrays):
        source = Arrays({name: source.arrays[name] for name in _FIELDS}, source.info)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in _FIELDS}
    for start in range(0, len(source), _CHUNK):
        rows = source.gather(np.arange(start, min(start + _CHUNK, len(source))))
        for name, read in parts.items():
            read.append(rows[name])
    return {name: np.concatenate(read) for name, read in parts.items()}


def _grid(boxes: np.ndarray, extent: np.ndarray) -> np.ndarray:
    """Boxes of the median size all over an image, [n, 4]."""
    size = np.median(boxes[:, 2:] - boxes[:, :2], 0).astype(np.float64)
    steps = np.maximum(_STEP * size, extent / _SIDE)
    along = [np.arange(0, max(extent[i] - size[i], 0) + 1e-6, steps[i]) for i in (0, 1)]
    left, top = (each.ravel() for each in np.meshgrid(*along))
    return np.stack([left, top, left + size[0], top + size[1]], 1)
