"""Metrics of verification: whether two examples show the same thing, from a similarity."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Pairs(NamedTuple):
    """All pairs of some examples; arrays [pairs].

    Attributes:
        similarity: cosine similarity of the two embeddings.
        same: whether both have the same label, bool.
        first, second: indices of the two examples.
    """

    similarity: np.ndarray
    same: np.ndarray
    first: np.ndarray
    second: np.ndarray


class Verification(NamedTuple):
    """How well a similarity tells equal from different pairs.

    Attributes:
        eer: equal error rate: at one threshold, the fraction of different pairs that are accepted
            and of equal pairs that are rejected.
        threshold: the similarity at which these two fractions are equal.
        auc: area under the ROC curve: the probability that an equal pair is more similar than a
            different one.
        tar_at_far_1: fraction of equal pairs that are accepted at the threshold at which 1 % of the
            different pairs are accepted.
    """

    eer: float
    threshold: float
    auc: float
    tar_at_far_1: float


def pairs(embedding: np.ndarray, label: np.ndarray) -> Pairs:
    """Computes the cosine similarity of all pairs of examples, each pair once.

    Args:
        embedding: [n, d]; they are scaled to unit length.
        label: [n].

    Returns:
        The n (n - 1) / 2 pairs, with first < second; similarities are float64.
    """
    embedding = np.asarray(embedding, np.float64)
    length = np.linalg.norm(embedding, axis=1, keepdims=True)
    unit = embedding / np.maximum(length, 1e-12)
    first, second = np.triu_indices(len(unit), 1)
    return Pairs((unit @ unit.T)[first, second], label[first] == label[second], first, second)


def roc(similarity: np.ndarray, same: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Computes the ROC curve: false accept rates, true accept rates, and their thresholds.

    Args:
        similarity: [pairs]; a pair is accepted where it is at least the threshold.
        same: whether the pair is equal, bool [pairs].

    Returns:
        Three arrays [points], in descending order of the threshold, which is infinite at the first
        point; points on a straight part of the curve are left out (`sklearn.metrics.roc_curve`).

    Raises:
        ValueError: there are only equal or only different pairs.
    """
    from sklearn.metrics import roc_curve

    same = np.asarray(same, bool)
    if same.all() or not same.any():
        raise ValueError("a ROC curve needs equal and different pairs")
    return roc_curve(same, similarity)


def verification(similarity: np.ndarray, same: np.ndarray) -> Verification:
    """Computes the equal error rate and other metrics of a similarity, see `Verification`.

    Rates between two points of the ROC curve are interpolated linearly.

    Args:
        similarity, same: as of `roc`, whose errors it raises.

    Returns:
        The metrics.
    """
    from sklearn.metrics import auc

    accepted, true, threshold = roc(similarity, same)
    gap = 1 - true - accepted  # falls from 1 to -1 along the curve
    at = int(np.argmax(gap <= 0))
    before = at - 1
    weight = gap[before] / (gap[before] - gap[at])
    eer = accepted[before] + weight * (accepted[at] - accepted[before])
    # the curve begins with a threshold of infinity
    low = threshold[before] if np.isfinite(threshold[before]) else threshold[at]
    return Verification(
        float(eer),
        float(low + weight * (threshold[at] - low)),
        float(auc(accepted, true)),
        float(np.interp(0.01, accepted, true)),
    )


class SameProbability(NamedTuple):
    """The probability that a pair is equal: 1 / (1 + exp(-(slope similarity + intercept))).

    Called with similarities [...], an instance returns the probabilities, float64 [...]. They are
    valid where half of all pairs are equal.

    Attributes:
        slope, intercept: of the logit, as functions of the similarity.
    """

    slope: float
    intercept: float

    @property
    def threshold(self) -> float:
        """The similarity at which the probability is 1/2; 0 for a slope of 0."""
        return -self.intercept / self.slope if self.slope else 0.0

    def __call__(self, similarity: np.ndarray) -> np.ndarray:
        """Computes the probabilities, float64 [...], of similarities [...]."""
        logit = self.slope * np.asarray(similarity, np.float64) + self.intercept
        return 1 / (1 + np.exp(-np.clip(logit, -500, 500)))


def fit_same_probability(similarity: np.ndarray, same: np.ndarray) -> SameProbability:
    """Fits a logistic regression in which equal and different pairs have the same total weight.

    Args:
        similarity, same: as of `roc`.

    Returns:
        The fitted probability; its L2 regularisation is weak (scikit-learn's C = 1000).

    Raises:
        ValueError: there are only equal or only different pairs.

    Source: Platt 1999.
    """
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1e3, class_weight="balanced").fit(
        np.asarray(similarity, np.float64)[:, None], np.asarray(same, int)
    )
    return SameProbability(float(fitted.coef_[0, 0]), float(fitted.intercept_[0]))


def balanced(similarity: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Chooses as many equal as different pairs: all of the rarer kind.

    The pairs of the more frequent kind are taken at equal distances in the order of similarity, so
    that they have about the same distribution.

    Args:
        similarity, same: as of `roc`.

    Returns:
        Indices of the chosen pairs, int: first the equal ones, each kind in ascending order of
        similarity.
    """
    equal, different = np.flatnonzero(same), np.flatnonzero(~np.asarray(same, bool))
    count = min(len(equal), len(different))

    def spread(index: np.ndarray) -> np.ndarray:
        ordered = index[np.argsort(np.asarray(similarity)[index], kind="stable")]
        return ordered[((np.arange(count) + 0.5) / count * len(ordered)).astype(int)]

    return np.concatenate([spread(equal), spread(different)])
