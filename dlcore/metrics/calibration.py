"""How far probabilities are right."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Reliability(NamedTuple):
    """Bins of predicted probabilities that hold any: their bounds, how many, the mean prediction,
    how often it came true; ECE.
    """

    low: np.ndarray
    high: np.ndarray
    examples: np.ndarray
    predicted: np.ndarray
    observed: np.ndarray
    error: float


def reliability(probability: np.ndarray, true: np.ndarray, bins: int = 10) -> Reliability:
    """Are probabilities [n] of an event that came true (1) or not (0) [n] what they say?

    `bins` of equal width (low, high], the first one with 0; their bounds k / bins are rounded to
    the type of `probability`, so that
    0.07 is the bound 7/100 in float32 as in float64. The expected calibration error is the mean
    over examples of |observed - predicted| of their bins (Guo et al. 2017, eq. 3, for the
    probability of one class). Raises ValueError for what is no probability, and for less than one
    bin.
    """
    given = np.asarray(probability)
    p, true = given.astype(np.float64), np.asarray(true, np.float64)
    if bins < 1:
        raise ValueError(f"{bins} bins: at least one is needed")
    if p.shape != true.shape or p.ndim != 1 or not len(p) or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(
            f"needs [n] probabilities and as many outcomes, not {p.shape} and {true.shape}, all of"
            " them in [0, 1]"
        )
    kind = given.dtype if np.issubdtype(given.dtype, np.floating) else np.dtype(np.float64)
    # the first bound that is not below it
    place = np.searchsorted((np.arange(1, bins) / bins).astype(kind), given.astype(kind))
    held = np.unique(place)
    examples, predicted, observed = np.array(
        [(len(p[place == b]), p[place == b].mean(), true[place == b].mean()) for b in held]
    ).T
    error = float((examples * np.abs(observed - predicted)).sum() / len(p))
    return Reliability(
        held / bins, (held + 1) / bins, examples.astype(int), predicted, observed, error
    )
