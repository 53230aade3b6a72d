"""Charts without scripts, for print and plain browsers; charts.js draws over them equally."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import numpy as np

from dlcore.report.curves import Chart, Curve, means, thin
from dlcore.report.markup import Html, el

STATIC = 300  # points of a curve in a drawing without zoom
_WIDTH, _HEIGHT, _RIGHT, _TOP, _BOTTOM = 440, 220, 10, 10, 24
Place = Callable[[float], float]


def look(curve: Curve, runs: int) -> str:
    """Returns a curve's CSS classes: colour by run (by split for a single run), dash by split."""
    return f"k{(curve.run if runs > 1 else curve.split) % 8} d{min(curve.split, 3)}"


def ticks(low: float, high: float, count: int) -> list[float]:
    """Returns about `count` round numbers within [low, high], ascending; [low] if high <= low."""
    raw = (high - low) / count
    if not math.isfinite(raw) or raw <= 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(
        (power * factor for factor in (1, 2, 5) if power * factor >= raw * 0.999), power * 10
    )
    return [
        step * i for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ]


def log_ticks(low: float, high: float) -> list[float]:
    """Chooses 2 to 8 round numbers within [low, high] as the ticks of a logarithmic axis.

    From 2.5 decades on they are powers of ten, every n-th one where there are more than 6 decades;
    from 0.7 decades on also 2 and 5 times these; below that the evenly spaced ones of `ticks`.

    Args:
        low, high: the ends of the axis, above 0.

    Returns:
        The ticks in ascending order; [low] if high <= low.
    """
    a, b = math.log10(low), math.log10(high)
    if b - a < 0.7:
        return [tick for tick in ticks(low, high, 5) if tick > 0]
    every, factors = math.ceil((b - a) / 6), (1, 2, 5) if b - a < 2.5 else (1,)
    marks = [
        factor * 10.0**power
        for power in range(math.floor(a), math.floor(b) + 1)
        if power % every == 0
        for factor in factors
    ]
    return [mark for mark in marks if low <= mark <= high]


def labels(values: Sequence[float], log: bool = False) -> list[str]:
    """Returns the labels of an axis's ticks, with as many digits as distinguish neighbours.

    `labels` in tools.js does the same.

    Args:
        values: the ticks, in ascending order.
        log: whether the axis is logarithmic: then each tick has its own unit (k, M, G);
            otherwise all have the same unit and number of decimals.
    """
    gap = min(
        (b - a for a, b in pairwise(values)), default=0.01 * max(map(abs, values), default=0.0)
    )
    exact = (
        n
        for n in range(3, 17)
        if all(abs(float(f"{v:.{n - 1}e}") - v) <= 0.01 * gap for v in values)
    )
    digits, size = next(exact, 17), max(map(abs, values), default=0.0)
    if log:
        return [_tick(value, digits, abs(value)) for value in values]
    texts = [_tick(value, digits, size) for value in values]
    decimals = max((len(text.rstrip("kMG").partition(".")[2]) for text in texts), default=0)
    return (
        texts
        if any("e" in text for text in texts)
        else [_tick(value, digits, size, decimals) for value in values]
    )


def _tick(value: float, digits: int, size: float, decimals: int | None = None) -> str:
    """A number with `digits` significant digits, or `decimals` decimals, in the unit for `size`."""
    if value == 0:
        return "0"
    if not 1e-3 <= size < 1e15:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{_stripped(mantissa)}e{int(exponent)}"
    # A unit does not shorten numbers of more than four digits.
    units = ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"), (0.0, 1.0, ""))
    unit, letter = next(
        (unit, letter)
        for least, unit, letter in units
        if size >= least and (digits <= 4 or not letter)
    )
    if decimals is not None:
        return f"{value / unit:.{decimals}f}{letter}"
    rounded = float(f"{value:.{digits - 1}e}") / unit
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    return f"{_stripped(f'{rounded:.{decimals}f}')}{letter}"


def _stripped(text: str) -> str:
    """The text without trailing zeros of its decimals."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def margin(texts: Sequence[str], least: int = 46) -> int:
    """Returns the pixels that the labels of an axis need beside it, at least `least`."""
    return max(least, 10 + math.ceil(6.4 * max(map(len, texts), default=0)))


def step_ticks(first: float, last: float, width: float) -> list[float]:
    """Returns whole numbers for an axis of steps, whose labels fit in `width` pixels."""
    for count in (6, 4, 3, 2):
        marks = [tick for tick in ticks(first, last, count) if tick == round(tick)]
        if sum(6.4 * len(text) + 14 for text in labels(marks)) <= width:
            break
    return marks


def bounds(chart: Chart) -> tuple[float, float, float, float]:
    """Returns first and last step of a chart, and its lowest and highest value with a margin.

    The published value counts where it is near the curves, values that are not finite do not; where
    none is finite the limits are those of 0 and 1.
    """
    steps = np.concatenate([curve.steps for curve in chart.curves])
    values = np.concatenate([curve.values for curve in chart.curves])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    # A published value far from the curves would flatten them, and is left out here.
    reach = (high - low) * 0.5
    if chart.reference is not None and low - reach <= chart.reference <= high + reach:
        low, high = min(low, chart.reference), max(high, chart.reference)
    air = (high - low) * 0.06 or abs(high) * 0.06 or 1.0
    first, last = float(steps.min()), float(steps.max())
    return first, last if last > first else first + 1, low - air, high + air


def svg(chart: Chart, runs: int) -> Html:
    """Draws a chart as an SVG: axes, curves, gaps and the published value.

    Args:
        chart: the chart.
        runs: number of runs in the report; it decides the colours.
    """
    first, last, low, high = bounds(chart)
    up = ticks(low, high, 5)
    left = margin(labels(up))
    along = step_ticks(first, last, _WIDTH - left - _RIGHT)

    def x(step: float) -> float:
        return left + (step - first) / (last - first) * (_WIDTH - left - _RIGHT)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts: list[object] = []
    for value, text in zip(up, labels(up), strict=True):
        parts.append(el("path", class_="rule", d=f"M{left} {y(value):.1f}H{_WIDTH - _RIGHT}"))
        parts.append(el("text", text, class_="ty", x=left - 8, y=f"{y(value) + 4:.1f}"))
    for step, text in zip(along, labels(along), strict=True):
        parts.append(el("text", text, class_="tx", x=f"{x(step):.1f}", y=_HEIGHT - 6))
    if chart.reference is not None and low <= chart.reference <= high:
        parts.append(
            el("path", class_="reference", d=f"M{left} {y(chart.reference):.1f}H{_WIDTH - _RIGHT}")
        )
    for curve in chart.curves:
        parts.append(_curve(curve, look(curve, runs), x, y))
    return el(
        "svg",
        *parts,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=f"{chart.name} by step",
    )


def _curve(curve: Curve, classes: str, x: Place, y: Place) -> list[Html]:
    steps, values = thin(curve.steps, curve.values, STATIC)

    def line(steps: np.ndarray, values: np.ndarray, classes: str) -> Html:
        pairs = zip(steps.tolist(), values.tolist(), strict=True)
        return el(
            "path",
            class_=f"line {classes}",
            d=trace((x(s), y(v)) if math.isfinite(v) else None for s, v in pairs),
        )

    drawn = [line(steps, values, classes)]
    if len(steps) < len(curve.steps):
        # The extremes of noise fill the chart: they are drawn lighter, behind their mean.
        drawn = [
            line(steps, values, f"{classes} faint"),
            line(*means(curve.steps, curve.values, STATIC // 2), classes),
        ]
    gone = "".join(f"M{x(s):.1f} {_HEIGHT - _BOTTOM}v-7" for s in steps[np.isnan(values)].tolist())
    return [*drawn, el("path", class_=f"gone {classes}", d=gone)] if gone else drawn


def trace(points: Iterable[tuple[float, float] | None]) -> str:
    """Returns an SVG path through points, which is interrupted at None."""
    parts, drawing = [], False
    for point in points:
        if point is not None:
            # A minimal length, so that the round line cap of a single point
            # is drawn as a dot.
            parts.append(
                f"{'L' if drawing else 'M'}{point[0]:.1f} {point[1]:.1f}{'' if drawing else 'h.01'}"
            )
        drawing = point is not None
    return "".join(parts)
