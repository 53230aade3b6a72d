"""Curves, samples and the card of a page one by one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from dlcore import samples
from dlcore.report import curves, drawing, gallery, page, parts, runs
from dlcore.runs import sample_files
from tests.report.pages import CARD, make
from tests.report.test_head import Lines, run_of, words

pytestmark = pytest.mark.quick

# ---- curves


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


# ---- samples


def shown(folder: Path, *entries: samples.Sample) -> str:
    run = make(folder)
    sample_files.save(run / "samples", entries)
    return str(gallery.gallery(runs.read_all([run])))


def test_a_confusion_matrix_is_shaded_by_row_and_its_diagonal_marked(tmp_path: Path) -> None:
    table = samples.Table("m", ("true", "a", "b"), (("a", 8, 2), ("b", 0, 0)))
    text = shown(tmp_path / "a", table)
    assert 'class="matrix"' in text
    assert re.findall(r'<td class="([^"]*)">', text) == ["n h9 diagonal", "n h2", "n", "n diagonal"]
    for other in (
        (("a", 8, -2), ("b", 0, 0)),
        (("a", 8, "x"), ("b", 0, 0)),
        (("a", 8, 2), ("c", 0, 0)),
        (("a", 8, float("inf")), ("b", 0, 0)),
    ):
        plain = shown(tmp_path / "b", samples.Table("m", ("true", "a", "b"), other))
        assert "matrix" not in plain
        assert "diagonal" not in plain
    assert "matrix" not in shown(tmp_path / "c", samples.Table("m", ("true", "a"), (("a", 8),)))


def test_numbers_of_a_table_stand_to_the_right(tmp_path: Path) -> None:
    text = shown(
        tmp_path / "a",
        samples.Table("t", ("name", "number", "mixed"), (("x", 1.5, 2), ("y", 2, "z"))),
    )
    assert re.findall(r"<th scope=\"col\"( class=\"n\")?>(\w+)", text) == [
        ("", "name"),
        (' class="n"', "number"),
        ("", "mixed"),
    ]
    assert re.findall(r'<td class="([^"]*)">([^<]*)', text) == [
        ("n", "1.500"),
        ("n", "2"),
        ("n", "2"),
        ("t", "z"),
    ]


def test_grids_say_how_many_are_right_left_out_and_clipped(tmp_path: Path) -> None:
    many = samples.Images(
        "i", np.full((parts.MOST + 1, 2, 2), 1.5), right=(True,) * 400 + (False,), columns=30
    )
    text = shown(tmp_path / "a", many)
    assert (
        f"400 of 401 right · the first 400 of 401 images · {401 * 4:,} values were outside [0, 1]"
        " or not finite and are clipped" in text
    )
    assert text.count("<img") == parts.MOST
    assert 'class="grid n20 small"' in text
    plain = shown(tmp_path / "b", samples.Images("i", np.zeros((2, 97, 2)), columns=0))
    assert 'class="grid n1 bare"' in plain
    assert 'class="hint"' not in plain
    assert re.findall(r'alt="([^"]*)"', plain) == ["i, 1", "i, 2"]


def test_captions_and_marks(tmp_path: Path) -> None:
    text = shown(
        tmp_path / "a", samples.Images("i", np.zeros((2, 2, 2)), ("one", ""), (True, False))
    )
    mark = r'.*?>(.)</b><span class="unseen">(\w+): </span><span dir="auto">(\w*)'
    found = re.findall(r'<figure class="(\w+)">.*?alt="([^"]*)"' + mark, text)
    assert found == [("right", "one", "✓", "right", "one"), ("wrong", "i, 2", "✕", "wrong", "")]


def test_a_text_follows_its_prompt(tmp_path: Path) -> None:
    text = shown(tmp_path / "a", samples.Text("t", "goes on", "It "), samples.Text("u", "alone"))
    assert '<span class="prompt">It </span><span>goes on</span>' in text
    assert '<div class="text" dir="auto"><span>alone</span>' in text


def test_samples_of_one_title_and_form_are_in_one_row_each(tmp_path: Path) -> None:
    first, second = make(tmp_path / "a"), make(tmp_path / "b")
    sample_files.save(first / "samples", [samples.Text("t", "1"), samples.Text("t", "2")])
    sample_files.save(second / "samples", [samples.Text("t", "3")])
    text = str(gallery.gallery(runs.read_all([first, second])))
    articles = [words(part) for part in re.findall(r'<article class="sample">.*?</article>', text)]
    assert articles == [["t", "a", "1", "b", "3"], ["t", "a", "2"]]
    assert gallery.gallery(runs.read_all([make(tmp_path / "c")])) is None


# ---- card and labels


def test_the_card_shows_its_data_and_the_command(tmp_path: Path) -> None:
    text = page.render([make(tmp_path / "a")])
    card = words(text[text.index('<section id="card"') :].partition("</section>")[0])
    assert card[:2] == ["Card", "Train it again"]
    assert card[2].startswith("dlcore train mlp_digits")
    assert card[3:16] == [
        "Data",
        "used as",
        "name",
        "version",
        "split",
        "examples",
        "fingerprint",
        "train",
        "digits",
        "1",
        "train",
        "7",
        "ab" * 8,
    ]
    assert card[16] == "card.json"
    assert json.loads(card[17]) == CARD
    bare = page.render([make(tmp_path / "b", {"data": {"x": 3}})])
    assert "Train it again" not in bare
    assert "used as" not in bare


def test_labels_tell_runs_apart(tmp_path: Path) -> None:
    def labels(*folders: str, **experiments: str) -> list[str]:
        paths = [
            make(
                tmp_path / name, CARD | {"experiment": experiments.get(name.replace("/", "_"), "e")}
            )
            for name in folders
        ]
        return [run.label for run in runs.read_all(paths)]

    assert labels("x/1", "x/2") == ["1", "2"]
    assert labels("x/1", "y/1") == ["x/1", "y/1"]
    assert labels("x/1", "x/2", x_1="other") == ["other/1", "e/2"]
    assert labels("p/x/1", "q/x/1") == ["x/1 (1)", "x/1 (2)"]
    assert labels("x/1", "x/1") == ["1"], "each folder once"
