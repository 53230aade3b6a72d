"""Plots among the samples: lines and point clouds with named axes, as an SVG without script."""

from __future__ import annotations

import math

import numpy as np

from dlcore.report.curves import thin
from dlcore.report.drawing import Place, labels, log_ticks, margin, ticks, trace
from dlcore.report.markup import Html, el
from dlcore.samples.parts import Part

LINE, CLOUD = 600, 5000  # points drawn of a line, and of all clouds of a plot
NEAREST = 1e-100  # the smallest value on a logarithmic axis
_WIDTH, _HEIGHT, _RIGHT, _TOP, _BOTTOM = 620, 380, 14, 28, 44


def plot(entry: Part, title: str) -> Html:
    """Draws one plot of a sample, with the names of its series above it.

    Args:
        entry: a valid part "plot".
        title: the sample's title, for screen readers.
    """
    series = [
        _read(one, entry.get("log_x", False), entry.get("log_y", False)) for one in entry["series"]
    ]
    clouds = [
        len(x) for (x, _), one in zip(series, entry["series"], strict=True) if one.get("points")
    ]
    share = min(1.0, CLOUD / max(sum(clouds), 1))
    log_x, log_y = entry.get("log_x", False), entry.get("log_y", False)
    up = _axis(
        np.concatenate([np.empty(0), *(y for _, y in series)]), log_y, _HEIGHT - _BOTTOM, _TOP
    )
    heights = labels(up[1], log_y)
    left = margin(heights, least=52)
    across = _axis(
        np.concatenate([np.empty(0), *(x for x, _ in series)]), log_x, left, _WIDTH - _RIGHT
    )
    parts: list[object] = []
    for value, text in zip(up[1], heights, strict=True):
        parts.append(el("path", class_="rule", d=f"M{left} {up[0](value):.1f}H{_WIDTH - _RIGHT}"))
        parts.append(el("text", text, class_="ty", x=left - 8, y=f"{up[0](value) + 4:.1f}"))
    for value, text in zip(across[1], labels(across[1], log_x), strict=True):
        parts.append(el("path", class_="rule", d=f"M{across[0](value):.1f} {_HEIGHT - _BOTTOM}v5"))
        parts.append(
            el("text", text, class_="tx", x=f"{across[0](value):.1f}", y=_HEIGHT - _BOTTOM + 19)
        )
    parts.append(el("text", entry["y"], x=4, y=14))
    parts.append(
        el("text", entry["x"], class_="tx", x=(left + _WIDTH - _RIGHT) // 2, y=_HEIGHT - 6)
    )
    for i, (one, (x, y)) in enumerate(zip(entry["series"], series, strict=True)):
        parts.append(
            _cloud(x, y, share, i, across[0], up[0])
            if one.get("points")
            else _line(x, y, i, across[0], up[0])
        )
    keys = [
        el("li", _key(i, one.get("points", False)), one["name"])
        for i, one in enumerate(entry["series"])
    ]
    drawn = sum(_kept(count, share) for count in clouds)
    hint = (
        f"{drawn:,} of {sum(clouds):,} points are drawn, the same fraction of each series."
        if share < 1
        else None
    )
    label = f"{title}: {entry['y']} over {entry['x']}"
    svg = el("svg", *parts, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=label)
    legend = (
        el("ul", keys, class_="keys")
        if len(keys) > 1 or (keys and entry["series"][0]["name"])
        else None
    )
    return el(
        "figure",
        legend,
        svg,
        el("figcaption", hint, class_="hint") if hint else None,
        class_="plot",
    )


def _read(one: Part, log_x: bool, log_y: bool) -> tuple[np.ndarray, np.ndarray]:
    """The points of a series; NaN where a coordinate cannot be drawn, also in a logarithm."""
    x, y = (
        np.array([math.nan if v is None else float(v) for v in one[axis]]) for axis in ("x", "y")
    )
    gap = np.isnan(x) | np.isnan(y) | (log_x & ~(x > NEAREST)) | (log_y & ~(y > NEAREST))
    return np.where(gap, math.nan, x), np.where(gap, math.nan, y)


def _axis(values: np.ndarray, log: bool, start: int, stop: int) -> tuple[Place, list[float]]:
    """The mapping of values to pixels between two edges, and the values of the ticks."""
    values = values[np.isfinite(values)]
    low, high = (
        (float(values.min()), float(values.max()))
        if values.size
        else (1.0, 10.0)
        if log
        else (0.0, 1.0)
    )
    scale = math.log10 if log else float
    a, b = scale(low), scale(high)
    air = (b - a) * 0.04 or (0.3 if log else abs(b) * 0.06 or 1.0)
    a, b = a - air, b + air
    marks = ticks(a, b, 5) if not log else log_ticks(10**a, 10**b)
    return lambda value: start + (scale(value) - a) / (b - a) * (stop - start), marks


def _line(x: np.ndarray, y: np.ndarray, i: int, across: Place, up: Place) -> Html:
    # Extremes by bucket suit a function; a path that turns back on itself keeps every n-th of its
    # points.
    if len(x) > LINE and not (np.diff(x[~np.isnan(x)]) >= 0).all():
        kept = np.unique(np.linspace(0, len(x) - 1, LINE).astype(int))
        x, y = x[kept], y[kept]
    x, y = thin(x, y, LINE)
    pairs = zip(x.tolist(), y.tolist(), strict=True)
    d = trace(None if math.isnan(a) or math.isnan(b) else (across(a), up(b)) for a, b in pairs)
    return el("path", class_=f"line {_look(i)}", d=d)


def _cloud(x: np.ndarray, y: np.ndarray, share: float, i: int, across: Place, up: Place) -> Html:
    kept = (
        np.unique(np.linspace(0, len(x) - 1, _kept(len(x), share)).astype(int))
        if len(x)
        else np.empty(0, int)
    )
    pairs = [
        (across(a), up(b))
        for a, b in zip(x[kept].tolist(), y[kept].tolist(), strict=True)
        if not math.isnan(a + b)
    ]
    # A hair's breadth with a round end is a dot; one path for all of them keeps the page small.
    kind = "cloud few" if len(pairs) <= 100 else "cloud"
    return el(
        "path", class_=f"{kind} {_look(i)}", d="".join(f"M{a:.1f} {b:.1f}h.01" for a, b in pairs)
    )


def _kept(count: int, share: float) -> int:
    return min(count, max(1, round(count * share)))


def _look(i: int) -> str:
    """A series' classes: ten colours, with dashes (for points: squares) after ten series."""
    return f"k{i % 10} d{min(i // 10, 3)}"


def _key(i: int, points: bool) -> Html:
    kind, d = ("cloud", "M13 5h.01") if points else ("line", "M1 5H25")
    return el(
        "svg", el("path", class_=f"{kind} {_look(i)}", d=d), viewBox="0 0 26 10", aria_hidden="true"
    )
