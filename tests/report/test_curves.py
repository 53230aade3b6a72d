"""The curves of a page: their charts, means, bounds and drawings."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from dlcore.report import curves, drawing
from tests.report.pages import CARD
from tests.report.test_head import Lines, run_of

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("metric", "way"),
    [
        ("net/loss", "lower"),
        ("net/perplexity", "lower"),
        ("accuracy", "higher"),
        ("declared", "lower"),
        ("net/declared", "lower"),
        ("wer", "higher"),
        ("published", "lower"),
        ("Top5_Recall", None),
        ("bleu_lowercase", None),
        ("loss/beta", None),
        ("my_accuracy", None),
    ],
)
def test_which_way_is_better_is_declared_or_known_and_never_guessed_from_a_name(
    metric: str, way: str | None, tmp_path: Path
) -> None:
    declared = {
        "declared": {"better": "lower", "unit": "s"},
        "wer": {"better": "higher"},
        "accuracy": 5,
    }
    published = {"metric": "published", "value": 1, "better": "lower"}
    assert (
        curves.better(run_of(tmp_path / "a", metrics=declared, published=published), metric) == way
    )


def test_charts_are_in_the_order_of_what_is_looked_at_first(tmp_path: Path) -> None:
    names = (
        "examples_per_second",
        "net/grad_norm",
        "net/learning_rate",
        "net/odd",
        "net/accuracy",
        "net/loss",
        "seconds",
    )
    lines: Lines = [{"step": s, "split": "train", **dict.fromkeys(names, 1.0)} for s in (1, 2)]
    found = curves.charts([run_of(tmp_path / "a", lines)])
    assert [c.name for c in found] == [
        "loss",
        "accuracy",
        "odd",
        "grad_norm",
        "learning_rate",
        "examples_per_second",
    ]


def test_a_training_metric_keeps_its_owner_where_another_has_the_name(tmp_path: Path) -> None:
    lines: Lines = [
        {"step": s, "split": "train", "net/loss": 1.0, "loss": 2.0, "net/x": 1.0} for s in (1, 2)
    ]
    assert [c.name for c in curves.charts([run_of(tmp_path / "a", lines)])] == [
        "loss",
        "net/loss",
        "x",
    ]


def test_curves_are_sorted_by_run_and_split_and_carry_the_published_number(tmp_path: Path) -> None:
    lines: Lines = [
        {"step": s, "split": split, "accuracy": 0.5}
        for split in ("test", "odd", "validation", "train")
        for s in (1, 2)
    ]
    pair = [run_of(tmp_path / "a", lines), run_of(tmp_path / "b", lines)]
    assert curves.splits(pair) == ["train", "validation", "test", "odd"]
    (chart,) = curves.charts(pair)
    assert [(c.run, c.split) for c in chart.curves] == [(r, s) for r in (0, 1) for s in range(4)]
    assert chart.reference == 0.974
    other = run_of(tmp_path / "c", lines, published=CARD["published"] | {"value": 0.5})
    assert curves.charts([pair[0], other])[0].reference is None, "two published numbers are none"
    assert (
        curves.charts(
            [run_of(tmp_path / "d", lines, published=CARD["published"] | {"value": float("inf")})]
        )[0].reference
        is None
    )


def test_means_are_of_buckets_and_long_curves_carry_them() -> None:
    steps, values = curves.means(np.arange(8), np.arange(8) * 2.0, 4)
    np.testing.assert_array_equal(steps, [0.5, 2.5, 4.5, 6.5])
    np.testing.assert_array_equal(values, [1, 5, 9, 13])
    n = curves.LIMIT + 1
    curve = curves.Curve(0, 0, np.arange(n), np.sin(np.arange(n)))
    long = curves.payload([], [curves.Chart("x", (curve,))])["charts"][0]["curves"][0]
    assert len(long["x"]) <= curves.LIMIT
    assert len(long["mx"]) == len(long["my"]) == curves.LIMIT // 2
    short = curves.Curve(0, 0, np.arange(n - 1), np.ones(n - 1))
    assert "mx" not in curves.payload([], [curves.Chart("x", (short,))])["charts"][0]["curves"][0]


def chart(
    values: list[float],
    steps: list[int] | None = None,
    reference: float | None = None,
    run: int = 0,
    split: int = 0,
) -> curves.Chart:
    return curves.Chart(
        "x",
        (curves.Curve(run, split, np.array(steps or range(len(values))), np.array(values)),),
        reference,
    )


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        (chart([1.0, 2.0]), (0, 1, 0.94, 2.06)),
        (chart([2.0, 2.0]), (0, 1, 1.88, 2.12)),
        (chart([0.0]), (0, 1, -1.0, 1.0)),
        (chart([float("nan"), float("nan")]), (0, 1, -0.06, 1.06)),
        (chart([1.0, 2.0], reference=2.5), (0, 1, 0.91, 2.59)),
        (chart([1.0, 2.0], reference=0.5), (0, 1, 0.41, 2.09)),
        (chart([1.0, 2.0], reference=2.6), (0, 1, 0.94, 2.06)),
        (chart([1.0, 2.0], [10, 30]), (10, 30, 0.94, 2.06)),
    ],
)
def test_bounds_have_a_little_air_and_reach_a_near_reference(
    drawn: curves.Chart, expected: tuple[float, ...]
) -> None:
    np.testing.assert_allclose(drawing.bounds(drawn), expected)


def test_thinning_never_keeps_more_than_the_limit() -> None:
    values = np.random.default_rng(0).random(400)
    for limit in (8, 9, 11):
        assert len(curves.thin(np.arange(400), values, limit)[0]) <= limit
        gaps = np.where(np.arange(400) % 7 == 3, np.nan, values)
        assert len(curves.thin(np.arange(400), gaps, limit)[0]) <= limit


def test_a_drawing_puts_values_where_they_belong() -> None:
    figure = drawing.svg(chart([0.0, 1.0, float("nan"), 0.5], reference=1.2), 1)
    assert figure.startswith('<svg viewBox="0 0 440 220" role="img" aria-label="x by step">')
    path = re.search(
        r'<path class="line k0 d0" d="M([\d.]+) ([\d.]+)h.01L([\d.]+) ([\d.]+)M([\d.]+)'
        r' ([\d.]+)h.01"',
        figure,
    )
    assert path is not None
    x, y = np.array([float(v) for v in path.groups()]).reshape(3, 2).T
    np.testing.assert_allclose(x, [46, 46 + 384 / 3, 430], atol=0.06)
    low, high = -0.072, 1.272
    np.testing.assert_allclose(
        y, [196 - (v - low) / (high - low) * 186 for v in (0, 1, 0.5)], atol=0.06
    )
    assert '<path class="gone k0 d0" d="M302.0 196v-7">' in figure
    reference = re.search(r'<path class="reference" d="M46 ([\d.]+)H430">', figure)
    assert reference is not None
    assert float(reference[1]) == pytest.approx(196 - (1.2 - low) / (high - low) * 186, abs=0.06)
    assert 'class="reference"' not in drawing.svg(chart([0.0, 1.0], reference=9.0), 1)


@pytest.mark.parametrize(
    ("run", "split", "several", "look"),
    [(1, 2, 2, "k1 d2"), (9, 5, 2, "k1 d3"), (0, 2, 1, "k2 d2"), (0, 9, 1, "k1 d3")],
)
def test_colours_tell_runs_apart_and_dashes_splits(
    run: int, split: int, several: int, look: str
) -> None:
    assert drawing.look(chart([1.0], run=run, split=split).curves[0], several) == look


def test_a_long_noisy_curve_steps_back_behind_its_mean() -> None:
    noisy = drawing.svg(chart(list(np.random.default_rng(0).random(drawing.STATIC + 1))), 1)
    assert re.findall(r'class="(line[^"]*)"', noisy) == ["line k0 d0 faint", "line k0 d0"]
    assert re.findall(r'class="(line[^"]*)"', drawing.svg(chart([1.0] * drawing.STATIC), 1)) == [
        "line k0 d0"
    ]
