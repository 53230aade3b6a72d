"""Plots: every point at its place, gaps left out, logarithms where they exist, and any numbers make
a drawing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcore.report import plots
from dlcore.report.drawing import log_ticks
from dlcore.runs import sample_files
from dlcore.samples import Plot, Series
from dlcore.samples.parts import AXIS_LIMIT


def drawn(tmp_path: Path, *series: Series, **log: bool) -> str:
    """The figure of a plot that was saved and loaded."""
    sample_files.save(
        tmp_path / "samples", [Plot("title", "time (s)", "speed (m/s)", series, **log)]
    )
    (sample,) = sample_files.load(tmp_path / "samples")
    (part,) = sample["parts"]
    return plots.plot(part, sample["title"])


def points(figure: str, kind: str) -> list[list[tuple[float, float]]]:
    """The places of every path of a kind, in the picture's units; the keys above it left out."""
    picture = figure[figure.rindex("<svg") :]
    paths = re.findall(rf'<path class="{kind}[^"]*" d="([^"]*)"', picture)
    return [
        [(float(a), float(b)) for a, b in re.findall(r"[ML]([-\d.]+) ([-\d.]+)", d)] for d in paths
    ]


def test_equal_steps_lie_equally_far_apart_and_up_is_more(tmp_path: Path) -> None:
    (line,) = points(
        drawn(tmp_path, Series("a", np.array([0, 1, 2, 4]), np.array([0, 10, 20, 40]))), "line"
    )
    x, y = np.array(line).T
    np.testing.assert_allclose(np.diff(x) / (x[-1] - x[0]), [0.25, 0.25, 0.5], atol=1e-3)
    np.testing.assert_allclose(np.diff(y) / (y[-1] - y[0]), [0.25, 0.25, 0.5], atol=1e-3)
    assert y[-1] < y[0]


def test_decades_lie_equally_far_apart_on_a_logarithmic_axis(tmp_path: Path) -> None:
    figure = drawn(
        tmp_path,
        Series("a", np.array([1, 10, 100, 1000]), np.array([0.0, 1e-3, 1e-2, 1e-1])),
        log_x=True,
        log_y=True,
    )
    ((x, y),) = [np.array(line).T for line in points(figure, "line")]
    assert len(x) == 3  # 0 has no logarithm
    np.testing.assert_allclose(np.diff(x), (x[-1] - x[0]) / 2, atol=0.11)
    np.testing.assert_allclose(np.diff(y), (y[-1] - y[0]) / 2, atol=0.11)
    for tick in ("0.001", "0.01", "0.1", "10", "100", "1000"):
        assert f">{tick}</text>" in figure


def test_a_gap_breaks_the_line_and_leaves_out_its_point(tmp_path: Path) -> None:
    x, y = np.arange(5), np.array([1.0, 2.0, np.nan, 3.0, 4.0])
    figure = drawn(tmp_path, Series("line", x, y), Series("cloud", x, y, points=True))
    picture = figure[figure.rindex("<svg") :]
    assert re.search(r'class="line[^"]*" d="M[^ML]*L[^ML]*M[^ML]*L[^ML]*"', picture)
    assert len(points(figure, "cloud")[0]) == 4


def test_names_titles_and_axes_are_shown(tmp_path: Path) -> None:
    figure = drawn(
        tmp_path,
        Series("ours", np.arange(3), np.arange(3)),
        Series("<theirs>", np.arange(3), np.arange(3), True),
    )
    for text in ("time (s)", "speed (m/s)", "ours", "&lt;theirs&gt;"):
        assert f">{text}<" in figure
    assert "<theirs>" not in figure


def test_clouds_are_thinned_by_the_same_share_and_said_so(tmp_path: Path) -> None:
    many = [Series(str(n), np.arange(n), np.arange(n), points=True) for n in (9000, 900, 100, 1)]
    figure = drawn(tmp_path, *many)
    counts = [len(cloud) for cloud in points(figure, "cloud")]
    assert [
        count / n for count, n in zip(counts[:3], (9000, 900, 100), strict=True)
    ] == pytest.approx([0.5] * 3, abs=0.01)
    assert counts[3] == 1
    assert f"{sum(counts):,} of 10,001 points are drawn" in figure
    assert "points are drawn" not in drawn(tmp_path, *many[2:])
    assert len(figure) < 150_000


def test_long_lines_keep_their_extremes_and_paths_that_turn_back_their_shape(
    tmp_path: Path,
) -> None:
    spike = np.zeros(20_000)
    spike[12_345] = 1
    (line,) = points(drawn(tmp_path, Series("a", np.arange(20_000), spike)), "line")
    heights = [b for _, b in line]
    assert len(line) <= plots.LINE
    assert heights.count(min(heights)) == 1
    angle = np.linspace(0, 2 * np.pi, 5000)
    (circle,) = points(drawn(tmp_path, Series("a", np.cos(angle), np.sin(angle))), "line")
    x, y = np.array(circle).T
    radius = np.hypot((x - x.mean()) / np.ptp(x), (y - y.mean()) / np.ptp(y))
    assert len(circle) == plots.LINE
    np.testing.assert_allclose(radius, 0.5, atol=5e-3)


FLOATS = st.none() | st.floats(-AXIS_LIMIT, AXIS_LIMIT) | st.integers(-(10**90), 10**90)


@pytest.mark.slow
@given(data=st.data(), log_x=st.booleans(), log_y=st.booleans(), several=st.integers(0, 12))
@settings(max_examples=150, deadline=None)
def test_any_numbers_make_a_drawing_within_its_frame(
    data: Any, log_x: bool, log_y: bool, several: int
) -> None:
    series = []
    for i in range(several):
        pairs = data.draw(st.lists(st.tuples(FLOATS, FLOATS), max_size=5))
        series.append(
            {
                "name": "s",
                "points": i % 2 == 0,
                "x": [a for a, _ in pairs],
                "y": [b for _, b in pairs],
            }
        )
    part = {"part": "plot", "x": "x", "y": "y", "log_x": log_x, "log_y": log_y, "series": series}
    figure = plots.plot(part, "t")
    assert "nan" not in figure
    assert "inf" not in figure
    assert figure.count("<text") < 40
    for path in points(figure, "line") + points(figure, "cloud"):
        for a, b in path:
            assert 0 <= a <= 620
            assert 0 <= b <= 380


@given(st.floats(-90, 90), st.floats(0.01, 90))
def test_logarithmic_ticks_are_few_and_within(low: float, decades: float) -> None:
    a, b = 10**low, 10 ** (low + decades)
    marks = log_ticks(a, b)
    assert all(a * (1 - 1e-6) <= mark <= b * (1 + 1e-6) for mark in marks)
    assert 1 <= len(marks) <= 9 or decades < 0.7
    assert marks == sorted(set(marks))
