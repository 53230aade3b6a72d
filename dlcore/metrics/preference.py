"""Accuracy of a score that ranks right answers above wrong ones, with confidence intervals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num


class Interval(NamedTuple):
    """An estimate with its confidence interval.

    Attributes:
        value: the estimate.
        low, high: bounds of the interval.
    """

    value: float
    low: float
    high: float


def pair_accuracy(score: Float[np.ndarray, " n"], right: Num[np.ndarray, " n"]) -> float:
    """Computes the fraction of pairs of a right and a wrong answer whose right one scores higher.

    Ties count half; it is the area under the ROC curve (Hanley & McNeil 1982).

    Args:
        score: of each answer [n].
        right: 1 for right answers, 0 for wrong ones [n].

    Returns:
        Between 0 and 1; 0.5 where all answers are right or all are wrong.
    """
    positive, negative = score[right > 0], np.sort(score[right <= 0])
    if not len(positive) or not len(negative):
        return 0.5
    below = np.searchsorted(negative, positive, "left")
    ties = np.searchsorted(negative, positive, "right") - below
    return float((below + ties / 2).mean() / len(negative))


def pair_accuracy_interval(
    score: Float[np.ndarray, " n"],
    right: Num[np.ndarray, " n"],
    cluster: Num[np.ndarray, " n"],
    level: float = 0.95,
    draws: int = 1000,
    minus: Float[np.ndarray, " n"] | None = None,
) -> Interval:
    """Computes `pair_accuracy` with its percentile bootstrap interval over clusters (Efron 1979).

    Whole clusters are resampled, such as all answers of a dialogue, which are not independent
    (Davison & Hinkley 1997, section 3.8); samples without right or without wrong answers are left
    out. The seed is fixed.

    Args:
        score, right: see `pair_accuracy`.
        cluster: number of the cluster of each answer [n].
        level: of confidence, in (0, 1).
        draws: number of bootstrap samples.
        minus: another score of each answer [n], whose accuracy is subtracted in each sample.

    Returns:
        The accuracy, or the difference of both, and its interval.
    """

    def accuracy(index: np.ndarray) -> float:
        found = pair_accuracy(score[index], right[index])
        return found if minus is None else found - pair_accuracy(minus[index], right[index])

    value = accuracy(np.arange(len(score)))
    values: list[float] = []
    _, sizes = np.unique(cluster, return_counts=True)
    rows = np.split(np.argsort(cluster, kind="stable"), np.cumsum(sizes)[:-1])
    for drawn in np.random.default_rng(0).integers(0, len(rows), (draws, len(rows))):
        index = np.concatenate([rows[i] for i in drawn])
        if len(np.unique(right[index] > 0)) == 2:
            values.append(accuracy(index))
    low, high = np.quantile(values or [value], [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))


def clustered_mean_interval(
    value: Num[np.ndarray, " n"],
    weight: Num[np.ndarray, " n"],
    cluster: Num[np.ndarray, " n"],
    level: float = 0.95,
    draws: int = 1000,
) -> Interval:
    """Computes a weighted mean with its percentile bootstrap interval over clusters (Efron 1979).

    Whole clusters are resampled, such as all pairs of answers of a dialogue, which are not
    independent (Davison & Hinkley 1997, section 3.8); samples whose weights are all 0 are left out.
    The seed is fixed.

    Args:
        value: of each example [n].
        weight: of each example [n], at least 0 and not all 0.
        cluster: number of the cluster of each example [n].
        level: of confidence, in (0, 1).
        draws: number of bootstrap samples.

    Returns:
        The mean and its interval.
    """
    _, of_example = np.unique(cluster, return_inverse=True)
    weights = np.asarray(weight, np.float64)
    total, sums = (np.bincount(of_example, each) for each in (weights, weights * value))
    index = np.random.default_rng(0).integers(0, len(total), (draws, len(total)))
    drawn = total[index].sum(1)
    drawn, drawn_sums = drawn[drawn > 0], sums[index].sum(1)[drawn > 0]  # others have no mean
    means = drawn_sums / drawn
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(sums.sum() / total.sum()), float(low), float(high))
