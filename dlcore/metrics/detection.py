"""Metrics of detectors: COCO's average precision by pycocotools, matches, and thresholds."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from dlcore.errors import UsageError

SIZES = ("small", "medium", "large")  # below 32^2, below 96^2, and above, in pixels squared


class Objects(NamedTuple):
    """The objects of an image, true or detected.

    Attributes:
        boxes: [n, 4]: left, top, right, bottom in pixels.
        label: classes, int [n].
        confidence: [n], in [0, 1]; 1 for true objects.
    """

    boxes: np.ndarray
    label: np.ndarray
    confidence: np.ndarray


@dataclasses.dataclass(frozen=True)
class Matches:
    """Which detections are right, over all images, in descending order of confidence.

    Attributes:
        image: index of each detection's image, int [n].
        index: of the detection among those of its image, int [n].
        confidence: [n].
        label: [n].
        correct: whether it is matched with a true object, bool [n].
        objects: number of true objects.
    """

    image: np.ndarray
    index: np.ndarray
    confidence: np.ndarray
    label: np.ndarray
    correct: np.ndarray
    objects: int


class Operating(NamedTuple):
    """A confidence threshold, and the metrics of the detections that reach it; all in [0, 1].

    Attributes:
        threshold: the smallest confidence that counts.
        precision, recall, f1: of these detections, over all classes.
    """

    threshold: float
    precision: float
    recall: float
    f1: float


def require() -> None:
    """Raises UsageError where pycocotools is not installed."""
    if importlib.util.find_spec("pycocotools") is None:
        raise UsageError(
            "detection is scored by pycocotools, which is not installed: pip install"
            " 'dlcore[vision]'"
        )


def average_precision(
    true: Sequence[Objects], detected: Sequence[Objects], classes: Sequence[str]
) -> dict[str, float]:
    """Computes COCO's average precision, by pycocotools, with at most 100 detections per image.

    Args:
        true, detected: of each image, in pixels of the original image, so that the areas of objects
            (`SIZES`) are those of COCO.
        classes: names of the classes.

    Returns:
        {"map": mean over the IoU thresholds 0.5, 0.55 to 0.95 and over classes, "map_50" and
        "map_75": at one threshold, "map_small", "map_medium", "map_large": for objects of one size,
        "ap_50_<class>", "ap_<class>": of one class}, each in [0, 1]. Classes and sizes without true
        objects have no entry.

    Raises:
        UsageError: pycocotools is not installed.
        ValueError: `true` and `detected` have different numbers of images.

    Source: Lin et al. 2014, cocodataset.org.
    """
    require()
    if len(true) != len(detected):
        raise ValueError(f"{len(true)} images have objects, and {len(detected)} detections")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        truth, found = COCO(), COCO()
        for coco, objects in ((truth, true), (found, detected)):
            coco.dataset = _dataset(objects, classes)
            coco.createIndex()
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    # [IoU, recall, class, size, detections an image]
    precision = evaluation.eval["precision"][:, :, :, :, -1]
    result = {
        "map": _mean(precision[:, :, :, 0]),
        "map_50": _mean(precision[0, :, :, 0]),
        "map_75": _mean(precision[5, :, :, 0]),
        **{f"map_{s}": _mean(precision[:, :, :, i]) for i, s in enumerate(SIZES, 1)},
        **{f"ap_50_{name}": _mean(precision[0, :, k, 0]) for k, name in enumerate(classes)},
        **{f"ap_{name}": _mean(precision[:, :, k, 0]) for k, name in enumerate(classes)},
    }
    return {name: value for name, value in result.items() if value is not None}


def matches(true: Sequence[Objects], detected: Sequence[Objects], limit: float = 0.5) -> Matches:
    """Matches detections with true objects as COCO does, each object at most once.

    In descending order of confidence, a detection is matched with that object of its image and
    class, among those not matched yet, whose IoU is largest, if the IoU is at least `limit`.

    Args:
        true, detected: of each image.
        limit: smallest IoU of a match.

    Returns:
        All detections, in descending order of confidence.

    Raises:
        ValueError: different numbers of images.
    """
    rows: list[tuple[float, int, int, int, bool]] = []
    for image, (objects, found) in enumerate(zip(true, detected, strict=True)):
        free = np.ones(len(objects.label), bool)
        overlap = pairwise_iou(found.boxes, objects.boxes)
        for i in np.argsort(-found.confidence, kind="stable"):
            fits = np.where(free & (objects.label == found.label[i]), overlap[i], -1.0)
            best = int(fits.argmax()) if len(fits) else -1
            correct = best >= 0 and bool(fits[best] >= limit)
            if correct:
                free[best] = False
            rows.append((float(found.confidence[i]), image, int(i), int(found.label[i]), correct))
    rows.sort(key=lambda each: -each[0])
    return Matches(
        image=np.array([each[1] for each in rows], int),
        index=np.array([each[2] for each in rows], int),
        confidence=np.array([each[0] for each in rows], np.float64),
        label=np.array([each[3] for each in rows], int),
        correct=np.array([each[4] for each in rows], bool),
        objects=sum(len(objects.label) for objects in true),
    )


def operating_point(found: Matches, threshold: float) -> Operating:
    """Computes precision, recall and F1 of the detections whose confidence reaches a threshold.

    Args:
        found: of all images and classes.
        threshold: smallest confidence that counts.

    Returns:
        The metrics; a ratio of 0 to 0 is 0.
    """
    shown = found.confidence >= threshold
    right, count = int(found.correct[shown].sum()), int(shown.sum())
    precision = right / count if count else 0.0
    recall = right / found.objects if found.objects else 0.0
    total = count + found.objects
    return Operating(threshold, precision, recall, 2 * right / total if total else 0.0)


def best_threshold(found: Matches) -> float:
    """Finds the confidence threshold with the largest F1 over all classes; of several the highest.

    Args:
        found: of all images, such as those for validation.

    Returns:
        The threshold, midway between the lowest confidence that counts and the next lower one (or
        0), so that rounding does not matter; 0.5 where there are no objects or no detections.
    """
    if not len(found.confidence) or not found.objects:
        return 0.5
    confidence = found.confidence
    right, count = np.cumsum(found.correct), np.arange(1, len(confidence) + 1)
    f1 = 2 * right / (count + found.objects)
    last = np.append(confidence[1:] < confidence[:-1], True)  # of equal confidences
    best = int(np.argmax(np.where(last, f1, -1)))
    lower = confidence[best + 1] if best + 1 < len(confidence) else 0.0
    return float((confidence[best] + lower) / 2)


def pairwise_iou(
    a: Shaped[np.ndarray, "n 4"], b: Shaped[np.ndarray, "m 4"]
) -> Float[np.ndarray, "n m"]:
    """Computes the intersection over union of all pairs of boxes a [n, 4] and b [m, 4].

    Args:
        a, b: left, top, right, bottom of each box.

    Returns:
        float64 [n, m].
    """
    a, b = np.asarray(a, np.float64)[:, None], np.asarray(b, np.float64)[None]
    size = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    both = np.maximum(size, 0).prod(-1)
    union = sum((box[..., 2:] - box[..., :2]).prod(-1) for box in (a, b)) - both
    return both / np.maximum(union, 1e-12)


def _mean(precision: np.ndarray) -> float | None:
    """The mean of what pycocotools could compute; None: nothing."""
    there = precision[precision > -1]
    return float(there.mean()) if there.size else None


def _dataset(objects: Sequence[Objects], classes: Sequence[str]) -> dict[str, object]:
    """COCO's format. Its ids begin at 1: pycocotools takes 0 for no match."""
    annotations: list[dict[str, object]] = []
    for image, each in enumerate(objects):
        for box, label, confidence in zip(*each, strict=True):
            left, top, right, bottom = map(float, box)
            size = right - left, bottom - top
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image + 1,
                    "category_id": int(label) + 1,
                    "bbox": [left, top, *size],
                    "area": size[0] * size[1],
                    "iscrowd": 0,
                    "score": float(confidence),
                }
            )
    return {
        "images": [{"id": image + 1} for image in range(len(objects))],
        "annotations": annotations,
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(classes)],
    }
