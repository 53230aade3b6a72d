"""Metrics of label maps: from confusion counts, and of instances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Integer, Shaped

THRESHOLDS = tuple(np.round(np.arange(0.5, 1.0, 0.05), 2).tolist())  # 0.5, 0.55, ..., 0.95


class Overlap(NamedTuple):
    """Metrics of a confusion matrix.

    Attributes:
        iou, dice: per class [classes]; NaN for a class that is neither predicted nor true.
        miou: mean of `iou` over the classes for which it is not NaN.
        pixel_accuracy: fraction of pixels that are right.
        class_accuracy: mean over the true classes of the fraction of their pixels that are right.
    """

    iou: np.ndarray
    dice: np.ndarray
    miou: float
    pixel_accuracy: float
    class_accuracy: float


def overlap(confusion: Shaped[np.ndarray, "classes classes"]) -> Overlap:
    """Computes IoU, Dice and accuracies from the confusion matrix of all pixels of a split.

    Args:
        confusion: number of pixels [classes, classes], rows true and columns predicted.

    Returns:
        The metrics, each between 0 and 1; NaN for classes that do not occur, see `Overlap`.

    Raises:
        ValueError: not square, or no pixels.

    Source: Everingham et al. 2010, sec. 4.4 (IoU of segmentation in PASCAL VOC).
    """
    counts = np.asarray(confusion, np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.sum():
        raise ValueError(f"needs pixels in [classes, classes], not {counts.shape}")
    right, true, predicted = np.diag(counts), counts.sum(1), counts.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        iou = right / (true + predicted - right)
        dice = 2 * right / (true + predicted)
        recall = right / true
    return Overlap(
        iou,
        dice,
        float(np.nanmean(iou)),
        float(right.sum() / counts.sum()),
        float(np.nanmean(recall)),
    )


def confusion(
    true: Integer[np.ndarray, ...], predicted: Integer[np.ndarray, ...], classes: int
) -> Integer[np.ndarray, "classes classes"]:
    """Counts pixels by true (rows) and predicted class: int [classes, classes].

    Args:
        true, predicted: classes, integers of one shape; pixels whose `true` is outside 0 to
            classes - 1 are ignored. Elsewhere `predicted` is from 0 to classes - 1.
        classes: number of classes.
    """
    counted = (true >= 0) & (true < classes)
    pairs = true[counted].astype(np.int64) * classes + predicted[counted]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def instance_overlap(
    true: Integer[np.ndarray, "height width"], predicted: Integer[np.ndarray, "height width"]
) -> Shaped[np.ndarray, "true found"]:
    """Computes the intersection over union of each pair of a true and a predicted instance.

    Args:
        true, predicted: instances by number, integers [height, width]; 0 is background.

    Returns:
        float64 [true instances, predicted instances], in the order of their numbers.
    """
    numbers, rows = np.unique(true, return_inverse=True)
    found, columns = np.unique(predicted, return_inverse=True)
    pairs = rows.ravel().astype(np.int64) * len(found) + columns.ravel()
    shared = np.bincount(pairs, minlength=len(numbers) * len(found))
    shared = shared.reshape(len(numbers), len(found)).astype(np.float64)
    union = shared.sum(1)[:, None] + shared.sum(0)[None] - shared
    return (shared / union)[numbers > 0][:, found > 0]


class Matches(NamedTuple):
    """Counts of the instances of one image for each IoU threshold; integers [thresholds].

    Attributes:
        found: number of predicted instances with an IoU above the threshold with a true instance.
        extra: number of the other predicted instances (false positives).
        missed: number of true instances without such a prediction (false negatives).
    """

    found: np.ndarray
    extra: np.ndarray
    missed: np.ndarray

    @property
    def precision(self) -> np.ndarray:
        """found / (found + extra + missed) [thresholds]; 1 where there are no instances at all."""
        total = self.found + self.extra + self.missed
        return np.where(total > 0, self.found / np.maximum(total, 1), 1.0)


def matches(
    true: Integer[np.ndarray, "height width"],
    predicted: Integer[np.ndarray, "height width"],
    thresholds: Sequence[float] = THRESHOLDS,
) -> Matches:
    """Counts matches of predicted with true instances: intersection over union above a threshold.

    Above 0.5 an instance has at most one match, so that no assignment is needed.

    Args:
        true, predicted: instance of each pixel, integers [height, width]; 0 is background.
        thresholds: of intersection over union, at least 0.5, by default 0.5, 0.55 to 0.95; an
            instance is found above it.

    Returns:
        The counts for each threshold.

    Raises:
        ValueError: maps of two shapes, or a threshold below 0.5.

    Source: the 2018 Data Science Bowl (Caicedo et al. 2019, Methods).
    """
    if true.shape != predicted.shape or min(thresholds) < 0.5:
        raise ValueError(
            f"needs maps of one shape and thresholds from 0.5 on, not {true.shape},"
            f" {predicted.shape} and {min(thresholds)}"
        )
    iou = instance_overlap(true, predicted)
    above = iou[None] > np.asarray(thresholds)[:, None, None]
    found = above.any(2).sum(1) if iou.size else np.zeros(len(thresholds), int)
    return Matches(found, iou.shape[1] - found, iou.shape[0] - found)


def average_precision(
    true: Integer[np.ndarray, "height width"],
    predicted: Integer[np.ndarray, "height width"],
    thresholds: Sequence[float] = THRESHOLDS,
) -> float:
    """Computes the score of one image in the 2018 Data Science Bowl.

    The mean over thresholds of found / (found + extra + missed); the score of a split is the mean
    over its images. It is not the area under a precision-recall curve.

    Args:
        true, predicted, thresholds: as of `matches`, whose errors it raises.

    Returns:
        The score, in [0, 1]; 1 for an image without true and predicted instances.
    """
    return float(matches(true, predicted, thresholds).precision.mean())
