"""Reliability diagrams: how often predictions of a probability are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Integer

from dlcore.metrics.calibration import reliability
from dlcore.samples import Plot, Sample, Series, Table

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


def of_one_class(
    title: str, name: str, kind: str, probability: np.ndarray, true: np.ndarray
) -> list[Sample]:
    """Draws and tabulates the reliability of the probability of one class.

    Args:
        title: of the plot; its expected calibration error in ten bins is added.
        name: of the class, such as "one person".
        kind: what is predicted, a plural noun such as "pairs".
        probability: of the class [n], n at least 1.
        true: whether an example has the class [n].
    """
    bins = reliability(probability, true)
    line, fraction = np.array([0.0, 1.0]), f"fraction of {name}"
    series = (
        Series("networks", bins.predicted, bins.observed, points=True),
        Series("calibrated", line, line),
    )
    head = ("probability from", "to", kind, "mean probability", fraction)
    rows = zip(bins.low, bins.high, bins.examples, bins.predicted, bins.observed, strict=True)
    table = Table("Reliability", head, tuple(tuple(map(float, row)) for row in rows))
    axes = f"probability of {name}", fraction
    return [Plot(f"{title}: expected error {bins.error:.4f}", *axes, series), table]


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
