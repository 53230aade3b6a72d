"""Charts as they stand on paper and in a browser without scripts; charts.js draws over them by the same rules."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from dlcore.report.curves import Chart, Curve, means, thin
from dlcore.report.markup import Html, el

STATIC = 300  # points of a curve: enough for a drawing that nobody zooms into
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 440, 220, 46, 10, 10, 24
Place = Callable[[float], float]


def look(curve: Curve, runs: int) -> str:
    """The classes of a curve: colour tells runs apart and dashes splits; with one run both tell the splits."""
    return f"k{(curve.run if runs > 1 else curve.split) % 8} d{min(curve.split, 3)}"


def ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers between low and high."""
    raw = (high - low) / count
    if not math.isfinite(raw) or raw <= 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(raw))
    step = next((power * factor for factor in (1, 2, 5) if power * factor >= raw * 0.999), power * 10)
    return [step * i for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers between low and high, both above 0, that lie evenly on a logarithmic axis."""
    a, b = math.log10(low), math.log10(high)
    if b - a < 0.7:
        return [tick for tick in ticks(low, high, 5) if tick > 0]
    every, factors = math.ceil((b - a) / 6), (1, 2, 5) if b - a < 2.5 else (1,)
    marks = [
        factor * 10.0**power for power in range(math.floor(a), math.floor(b) + 1) if power % every == 0 for factor in factors
    ]
    return [mark for mark in marks if low <= mark <= high]


def short(value: float) -> str:
    """A tick's number, in as few characters as will do."""
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= unit:
            return f"{value / min(unit, 1e3 if letter == 'k' else unit):.4g}{letter}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def bounds(chart: Chart) -> tuple[float, float, float, float]:
    """The first and last step, and the lowest and highest value with a little air."""
    steps = np.concatenate([curve.steps for curve in chart.curves])
    values = np.concatenate([curve.values for curve in chart.curves])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    # A published number far from the curves would flatten them; it stands in the header anyway.
    reach = (high - low) * 0.5
    if chart.reference is not None and low - reach <= chart.reference <= high + reach:
        low, high = min(low, chart.reference), max(high, chart.reference)
    air = (high - low) * 0.06 or abs(high) * 0.06 or 1.0
    first, last = float(steps.min()), float(steps.max())
    return first, last if last > first else first + 1, low - air, high + air


def svg(chart: Chart, runs: int) -> Html:
    """One chart as an SVG with axes, curves, marks where values were not finite, and the published number."""
    first, last, low, high = bounds(chart)

    def x(step: float) -> float:
        return _LEFT + (step - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts: list[object] = []
    for value in ticks(low, high, 5):
        parts.append(el("path", class_="rule", d=f"M{_LEFT} {y(value):.1f}H{_WIDTH - _RIGHT}"))
        parts.append(el("text", short(value), class_="ty", x=_LEFT - 8, y=f"{y(value) + 4:.1f}"))
    for step in ticks(first, last, 6):
        parts.append(el("text", short(step), class_="tx", x=f"{x(step):.1f}", y=_HEIGHT - 6))
    if chart.reference is not None and low <= chart.reference <= high:
        parts.append(el("path", class_="reference", d=f"M{_LEFT} {y(chart.reference):.1f}H{_WIDTH - _RIGHT}"))
    for curve in chart.curves:
        parts.append(_curve(curve, look(curve, runs), x, y))
    return el("svg", *parts, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=f"{chart.name} by step")


def _curve(curve: Curve, classes: str, x: Place, y: Place) -> list[Html]:
    steps, values = thin(curve.steps, curve.values, STATIC)

    def line(steps: np.ndarray, values: np.ndarray, classes: str) -> Html:
        pairs = zip(steps.tolist(), values.tolist(), strict=True)
        return el("path", class_=f"line {classes}", d=trace((x(s), y(v)) if math.isfinite(v) else None for s, v in pairs))

    drawn = [line(steps, values, classes)]
    if len(steps) < len(curve.steps):
        # Thinned to extremes, noise fills the chart: it steps back behind its mean.
        drawn = [line(steps, values, f"{classes} faint"), line(*means(curve.steps, curve.values, STATIC // 2), classes)]
    gone = "".join(f"M{x(s):.1f} {_HEIGHT - _BOTTOM}v-7" for s in steps[np.isnan(values)].tolist())
    return [*drawn, el("path", class_=f"gone {classes}", d=gone)] if gone else drawn


def trace(points: Iterable[tuple[float, float] | None]) -> str:
    """A path through the points that is broken at every None."""
    parts, drawing = [], False
    for point in points:
        if point is not None:
            # The hair's breadth gives a point that stands alone a length, so that its line cap makes it a dot.
            parts.append(f"{'L' if drawing else 'M'}{point[0]:.1f} {point[1]:.1f}{'' if drawing else 'h.01'}")
        drawing = point is not None
    return "".join(parts)
