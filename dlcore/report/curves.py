"""Curves: which are drawn in one chart, how they are thinned, and the data of the page's script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dlcore.metrics.known import known
from dlcore.report.markup import clean, is_number
from dlcore.report.runs import Run

LIMIT = 1500  # points of a curve in the page
_ORDER = ("train", "validation", "test")
_NOT_DRAWN = ("seconds",)  # the clock only rises


@dataclass(frozen=True)
class Curve:
    """One run's values of one metric on one split.

    Attributes:
        run, split: positions in the lists of runs and of `splits`.
        steps: int64 [n], ascending.
        values: float64 [n], NaN where a value was not finite.
    """

    run: int
    split: int
    steps: np.ndarray
    values: np.ndarray

    @property
    def gaps(self) -> np.ndarray:
        """Where a value was not finite, bool [n]."""
        return np.isnan(self.values)


@dataclass(frozen=True)
class Chart:
    """The curves of one metric.

    Attributes:
        name: of the metric.
        curves: sorted by run and split.
        reference: the published value of this metric; None where no run has one, or the values of
            runs differ.
    """

    name: str
    curves: tuple[Curve, ...]
    reference: float | None = None

    @property
    def once(self) -> bool:
        """Whether no run measured the metric more than once on a split: no curve is drawn."""
        return all(len(curve.steps) == 1 for curve in self.curves)


def better(run: Run, metric: str) -> str | None:
    """Returns which values of a metric are better: "higher", "lower", or None where it is unknown.

    The published result in the run's card decides, if it is of this metric and states a direction;
    otherwise what the card declares for the metric, and then the table of `metrics.known.known`.

    Args:
        run: the run.
        metric: its name, such as "accuracy", or with its objective "net/accuracy".
    """
    if metric == run.get("published", "metric") and run.get("published", "better") in (
        "higher",
        "lower",
    ):
        return str(run.get("published", "better"))
    return known(metric, run.mapping("metrics")).better


def splits(runs: Sequence[Run]) -> list[str]:
    """Lists the splits that have curves: train, validation, test, and others by name."""
    names = {split for run in runs for split, name in run.series if name not in _NOT_DRAWN}
    return sorted(
        names, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)
    )


def charts(runs: Sequence[Run]) -> list[Chart]:
    """Makes a chart for each metric except "seconds", the losses first.

    Then come metrics with a known better direction, others, norms and rates, and the throughput.
    In a run with one objective, training's "net/loss" and evaluation's "loss" are one metric.
    """
    order = splits(runs)
    groups: dict[str, list[Curve]] = {}
    for position, run in enumerate(runs):
        prefixes = {
            name.split("/", 1)[0] for split, name in run.series if split == "train" and "/" in name
        }
        prefix = f"{prefixes.pop()}/" if len(prefixes) == 1 else None
        for (split, name), (steps, values) in run.series.items():
            if name in _NOT_DRAWN:
                continue
            short = name[len(prefix) :] if prefix and name.startswith(prefix) else name
            shown = name if short != name and (split, short) in run.series else short
            groups.setdefault(shown, []).append(Curve(position, order.index(split), steps, values))
    references = _references(runs)
    made = [
        Chart(
            name,
            tuple(sorted(curves, key=lambda curve: (curve.run, curve.split))),
            references.get(name),
        )
        for name, curves in groups.items()
    ]
    return sorted(made, key=lambda chart: (_rank(chart.name, runs), chart.name))


def _references(runs: Sequence[Run]) -> dict[str, float]:
    """The published value of each metric for which all runs have the same."""
    found: dict[str, set[float]] = {}
    for run in runs:
        value = run.get("published", "value")
        if is_number(value) and math.isfinite(value):
            found.setdefault(str(run.get("published", "metric")), set()).add(float(value))
    return {name: values.pop() for name, values in found.items() if len(values) == 1}


def _rank(name: str, runs: Sequence[Run]) -> int:
    last = name.rsplit("/", 1)[-1]
    if last == "examples_per_second":
        return 4
    if "norm" in last or "rate" in last:
        return 3
    return 0 if "loss" in last else 1 if any(better(run, name) for run in runs) else 2


def thin(steps: np.ndarray, values: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Keeps at most `limit` points of a curve: the ends, and the extremes and gaps of each bucket.

    Args:
        steps: int [N], ascending.
        values: float [N], NaN for a gap.
        limit: number of points, at least 5.

    Returns:
        The steps and values that are kept.
    """
    count = len(steps)
    if count <= limit:
        return steps, values
    gaps = np.isnan(values)
    keep = {0, count - 1}
    for start, stop in _buckets(count, (limit - 2) // (3 if gaps.any() else 2)):
        part, gap = values[start:stop], gaps[start:stop]
        if gap.any():
            keep.add(start + int(np.argmax(gap)))
        if not gap.all():
            keep.update((start + int(np.nanargmin(part)), start + int(np.nanargmax(part))))
    chosen = np.array(sorted(keep))
    return steps[chosen], values[chosen]


def means(steps: np.ndarray, values: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Computes the means of a curve over at most `limit` buckets of consecutive points.

    The page smooths these means: the points that `thin` keeps are extremes, and a smoothed curve of
    extremes would be biased.

    Args:
        steps: int [N], ascending.
        values: float [N], NaN for a gap.
        limit: number of buckets.

    Returns:
        Mean step and mean value of each bucket, float64 [buckets]; NaN where it contains a gap.
    """
    bounds = _buckets(len(steps), limit)
    return (
        np.array([float(steps[a:b].mean()) for a, b in bounds]),
        np.array([float(values[a:b].mean()) for a, b in bounds]),
    )


def _buckets(count: int, buckets: int) -> list[tuple[int, int]]:
    edges = np.linspace(0, count, max(buckets, 1) + 1).astype(int)
    return [(a, b) for a, b in pairwise(edges.tolist()) if b > a]


def payload(runs: Sequence[Run], drawn: Sequence[Chart]) -> dict[str, object]:
    """Returns the data, as JSON values, from which the page's script draws; curves are thinned."""
    return {
        "runs": [clean(run.label) for run in runs],
        "splits": [clean(split) for split in splits(runs)],
        "charts": [
            {
                "name": clean(chart.name),
                "reference": chart.reference,
                "curves": [_points(curve) for curve in chart.curves],
            }
            for chart in drawn
        ],
    }


def _points(curve: Curve) -> dict[str, object]:
    steps, values = thin(curve.steps, curve.values, LIMIT)
    digits = _digits(values)
    points: dict[str, object] = {
        "run": curve.run,
        "split": curve.split,
        "x": steps.tolist(),
        "y": _plain(values, digits),
    }
    if len(steps) < len(curve.steps):
        mean_steps, mean_values = means(curve.steps, curve.values, LIMIT // 2)
        points |= {"mx": mean_steps.tolist(), "my": _plain(mean_values, digits)}
    return points


def _digits(values: np.ndarray) -> int:
    """The significant digits of a curve: six, or more where its values are close together."""
    finite = values[np.isfinite(values)]
    span, size = (float(np.ptp(finite)), float(np.abs(finite).max())) if finite.size else (0.0, 0.0)
    return (
        min(17, max(6, 4 + math.ceil(math.log10(size / span))))
        if 0 < span < math.inf and size > 0
        else 6
    )


def _plain(values: np.ndarray, digits: int) -> list[float | None]:
    return [
        float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in values.tolist()
    ]
