"""Calibration of predicted probabilities."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer, Shaped


class Reliability(NamedTuple):
    """Bins of predicted probabilities, without empty ones, as arrays [bins], and a scalar error.

    Attributes:
        low, high: bounds of each bin, which contains `high`, and `low` only if that is 0.
        examples: number of predictions in each bin.
        predicted: mean predicted probability of each bin.
        observed: fraction of each bin's predictions whose event occurred.
        error: expected calibration error over all bins, a float in [0, 1].
    """

    low: Float[np.ndarray, " bins"]
    high: Float[np.ndarray, " bins"]
    examples: Integer[np.ndarray, " bins"]
    predicted: Float[np.ndarray, " bins"]
    observed: Float[np.ndarray, " bins"]
    error: float


def reliability(
    probability: Shaped[np.ndarray, " n"], true: Shaped[np.ndarray, " n"], bins: int = 10
) -> Reliability:
    """Computes a reliability diagram and the expected calibration error of binary predictions.

    The error is the mean over predictions of |observed - predicted| of their bins (Guo et al. 2017,
    eq. 3, for the probability of one class).

    Args:
        probability: predicted probabilities of an event, [n] in [0, 1].
        true: 1 where the event occurred, else 0, [n].
        bins: number of bins (low, high] of equal width; the first one includes 0. The bounds
            k / bins are rounded to the dtype of `probability`, so that 0.07 is the bound 7/100 in
            float32 as in float64.

    Returns:
        The bins that contain a prediction, in ascending order, and the error.

    Raises:
        ValueError: a probability outside [0, 1], an outcome other than 0 and 1, arrays that are
            empty or differ in shape, or fewer than one bin.
    """
    original = np.asarray(probability)
    p, true = original.astype(np.float64), np.asarray(true, np.float64)
    if bins < 1:
        raise ValueError(f"{bins} bins: at least one is needed")
    if p.shape != true.shape or p.ndim != 1 or not len(p) or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(
            f"needs [n] probabilities and as many outcomes, not {p.shape} and {true.shape}, all of"
            " them in [0, 1]"
        )
    if not np.isin(true, (0, 1)).all():
        raise ValueError(f"an outcome is 0 or 1, not {true[~np.isin(true, (0, 1))][0]}")
    dtype = original.dtype if np.issubdtype(original.dtype, np.floating) else np.dtype(np.float64)
    # the first bound that is not below it
    bin_index = np.searchsorted((np.arange(1, bins) / bins).astype(dtype), original.astype(dtype))
    used = np.unique(bin_index)
    examples, predicted, observed = np.array(
        [
            (len(p[bin_index == b]), p[bin_index == b].mean(), true[bin_index == b].mean())
            for b in used
        ]
    ).T
    error = float((examples * np.abs(observed - predicted)).sum() / len(p))
    return Reliability(
        used / bins, (used + 1) / bins, examples.astype(int), predicted, observed, error
    )
