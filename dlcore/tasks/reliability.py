"""Reliability diagrams: how often predictions of a probability are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Integer

from dlcore.metrics.calibration import reliability
from dlcore.samples import Plot, Series

Predictions = tuple[Sequence[float] | np.ndarray, Sequence[bool] | np.ndarray]


def diagram(title: str, x: str, y: str, predictions: Mapping[str, Predictions]) -> Plot:
    """Draws the reliability diagram of one or several kinds of predictions.

    Args:
        title: of the plot.
        x, y: what the probability is of, and the fraction that is compared with it.
        predictions: {name: probability of each prediction [n], and whether it is right [n]}, n at
            least 1; rounding may take a probability above 1.

    Returns:
        The diagonal, and a curve of each kind with its expected calibration error in ten bins.

    Source: Guo et al. 2017, fig. 1 and eq. 3.
    """
    line = np.array([0.0, 1.0])
    series = [Series("perfect", line, line)]
    for name, (probability, right) in predictions.items():
        bins = reliability(np.minimum(probability, 1), np.asarray(right))
        series.append(Series(f"{name}, error {bins.error:.3f}", bins.predicted, bins.observed))
    return Plot(title, x, y, tuple(series))


def diagram_of_classes(
    title: str, probability: Float[np.ndarray, "n classes"], true: Integer[np.ndarray, " n"]
) -> Plot:
    """Draws the reliability diagram of the most probable class.

    Args:
        title: of the plot.
        probability: of each class [n, classes], n at least 1.
        true: classes [n].
    """
    predicted = probability.argmax(1)
    axes = "probability of the predicted class", "fraction of right predictions"
    return diagram(title, *axes, {"model": (probability.max(1), predicted == true)})
