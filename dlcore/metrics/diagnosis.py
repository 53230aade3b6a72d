"""Metrics of binary diagnoses: separation, operating points and calibration."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


def auc(probability: np.ndarray, true: np.ndarray) -> float:
    """Computes the area under the ROC curve, by scikit-learn.

    Args:
        probability: of the condition [n], or any score that rises with it.
        true: 1 for an example with the condition, else 0 [n].

    Returns:
        The area, in [0, 1].

    Raises:
        ValueError: examples of one class only.
    """
    from sklearn.metrics import roc_auc_score

    _check(true)
    return float(roc_auc_score(true, probability))


class Operating(NamedTuple):
    """A threshold of a score with its sensitivity and specificity.

    Attributes:
        threshold: the smallest score that is called positive; infinite where nothing is.
        sensitivity: fraction of the examples with the condition that are called positive.
        specificity: fraction of the examples without the condition that are not called positive.
    """

    threshold: float
    sensitivity: float
    specificity: float


def at_specificity(
    probability: np.ndarray, true: np.ndarray, specificity: float = 0.95
) -> Operating:
    """Finds the threshold of highest sensitivity among those of at least a given specificity.

    Args:
        probability: scores that rise with the condition [n].
        true: 1 for an example with the condition, else 0 [n].
        specificity: the smallest that is allowed, in [0, 1].

    Returns:
        The threshold, one of the scores or infinity, and its rates; of equal sensitivities that of
        the higher specificity.

    Raises:
        ValueError: examples of one class only.
    """
    _check(true)
    score, condition = np.asarray(probability), np.asarray(true) > 0
    thresholds = np.append(np.unique(score), np.inf)
    below, missed = (
        np.searchsorted(np.sort(score[each]), thresholds) for each in (~condition, condition)
    )
    # both counts rise with the threshold: the smallest that is allowed misses the fewest, and of
    # those that miss as few the largest has the highest specificity
    fewest = missed[below / (~condition).sum() >= specificity][0]
    return at_threshold(score, true, float(thresholds[missed == fewest][-1]))


def at_threshold(probability: np.ndarray, true: np.ndarray, threshold: float) -> Operating:
    """Computes sensitivity and specificity of one threshold.

    Args:
        probability: scores [n].
        true: 1 for an example with the condition, else 0 [n].
        threshold: the smallest score that is called positive.

    Returns:
        The threshold as it was given, and its rates, in [0, 1].

    Raises:
        ValueError: examples of one class only.
    """
    _check(true)
    positive, condition = np.asarray(probability) >= threshold, np.asarray(true) > 0
    return Operating(
        float(threshold), float(positive[condition].mean()), float((~positive[~condition]).mean())
    )


def _check(true: np.ndarray) -> None:
    if set(np.unique(true)) != {0, 1}:
        raise ValueError(
            "these metrics need examples with the condition (1) and without it (0), and there are"
            f" {np.unique(true).tolist()}"
        )
