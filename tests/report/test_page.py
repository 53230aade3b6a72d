"""The page shows what a run left, and says what is missing or damaged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcore import samples
from dlcore.errors import UsageError
from dlcore.report import compare, curves, page, runs
from dlcore.report.command import reproduce
from dlcore.report.drawing import trace
from dlcore.runs import sample_files
from tests.report.pages import CARD, Parsed, make


def test_a_run_shows_its_number_beside_the_published_one(tmp_path: Path) -> None:
    text = " ".join(Parsed(page.render([make(tmp_path / "a")])).texts)
    numbers = (
        "0.9800",
        "published 0.9740",
        "+0.0060, better than published",
        "1 min 15 s",
        "1,234,567",
    )
    for words in ("mlp_digits", "a book", *numbers):
        assert words in text
    assert "embedded data (digits)" in text
    lower = CARD | {"published": {"metric": "loss", "value": 0.05, "better": "lower"}}
    assert "+0.0200, worse than published" in page.render([make(tmp_path / "b", lower)])


@pytest.mark.parametrize(
    "card",
    [{}, {"status": "running", "experiment": "x"}, {"status": "failed", "error": "it broke"}],
)
def test_a_card_with_little_in_it_still_makes_a_page(tmp_path: Path, card: dict[str, Any]) -> None:
    folder = make(tmp_path / "a", card)
    (folder / "metrics.jsonl").unlink()
    text = page.render([folder])
    assert "card.json does not say" in text
    assert "no metrics.jsonl" in text
    assert card.get("error", "") in text


JUNK = (None, 3, "x", [1], {"a": {"b": [None]}}, float("nan"), 10**400, True)


@pytest.mark.parametrize("key", list(CARD))
@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: repr(junk)[:20])
def test_any_key_may_hold_anything(tmp_path: Path, key: str, junk: Any) -> None:
    page.render([make(tmp_path / "a", CARD | {key: junk}, []), make(tmp_path / "b", lines=[])])
    if isinstance(CARD[key], dict):
        page.render([make(tmp_path / "a", CARD | {key: dict.fromkeys(CARD[key], junk)}, [])])


def test_no_run_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        page.render([tmp_path / "nowhere"])
    with pytest.raises(UsageError, match=r"card\.json"):
        page.render([tmp_path])
    (tmp_path / "card.json").write_text('{"half":')
    with pytest.raises(UsageError, match=r"card\.json"):
        page.render([tmp_path])


def test_half_a_last_line_is_skipped_and_a_damaged_line_is_named(tmp_path: Path) -> None:
    good = [{"step": s, "split": "train", "loss": 1.0} for s in (1, 2)]
    run = runs.read(make(tmp_path / "a", lines=good, tail='{"step": 3, "lo'))
    assert run.notes == ()
    np.testing.assert_array_equal(run.series["train", "loss"][0], [1, 2])
    lines = [
        good[0],
        '{"step": 3, "lo',
        "[]",
        '{"step": "x"}',
        good[1],
        {"step": 4, "mood": "good"},
    ]
    text = page.render([make(tmp_path / "b", lines=lines)])
    assert "values that are not numbers are left out, of mood." in text
    assert "metrics.jsonl: damaged and left out: lines 2, 3, 4." in text


def test_a_resumed_run_draws_each_step_once(tmp_path: Path) -> None:
    lines = [
        {"step": s, "loss": v} for s, v in ((1, 1.0), (2, 2.0), (3, 3.0), (2, 20.0), (3, 30.0))
    ]
    series, _ = runs.metrics(make(tmp_path / "a", lines=lines) / "metrics.jsonl")
    np.testing.assert_array_equal(series["train", "loss"], [[1, 2, 3], [1, 20, 30]])


def test_train_and_validation_of_a_metric_share_a_chart_with_one_objective_only(
    tmp_path: Path,
) -> None:
    one = curves.charts([runs.read(make(tmp_path / "a"))])
    assert [(chart.name, len(chart.curves)) for chart in one] == [("loss", 2)]
    lines = [
        {"step": 1, "gen/loss": 1.0, "disc/loss": 2.0},
        {"step": 1, "split": "validation", "loss": 3.0},
    ]
    two = curves.charts([runs.read(make(tmp_path / "b", lines=lines))])
    assert [chart.name for chart in two] == ["disc/loss", "gen/loss", "loss"]


@given(
    values=st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=400),
    limit=st.integers(8, 60),
)
@settings(deadline=None)
def test_thinning_keeps_the_extremes_the_ends_and_the_gaps(values: list[float], limit: int) -> None:
    y = np.array(values)
    steps, kept = curves.thin(np.arange(len(y)) * 10, y, limit)
    assert len(kept) <= max(limit, 2)
    assert (np.diff(steps) > 0).all()
    assert (steps[0], steps[-1]) == (0, (len(y) - 1) * 10)
    np.testing.assert_array_equal(kept, y[steps // 10])
    assert np.isnan(kept).any() == np.isnan(y).any()
    if not np.isnan(y).all():
        assert (np.nanmin(kept), np.nanmax(kept)) == (np.nanmin(y), np.nanmax(y))


def test_a_value_that_is_not_finite_breaks_the_line_and_is_reported(tmp_path: Path) -> None:
    assert trace([(0, 1), (1, 2), None, (3, 4)]) == "M0.0 1.0h.01L1.0 2.0M3.0 4.0h.01"
    values = [1.0, None, 2.0, float("nan"), float("inf"), 3.0]
    text = page.render(
        [make(tmp_path / "a", lines=[{"step": s, "loss": v} for s, v in enumerate(values)])]
    )
    (chart,) = json.loads(Parsed(text).block)["charts"]
    assert chart["curves"][0]["y"] == [1.0, None, 2.0, None, None, 3.0]
    assert "3 values are not finite, from step 1" in text


def test_comparison_shows_only_the_fields_that_differ(tmp_path: Path) -> None:
    other = json.loads(json.dumps(CARD))
    other["config"] |= {"learning_rate": 0.2, "fresh": 1}
    both = [runs.read(make(tmp_path / "a")), runs.read(make(tmp_path / "b", other))]
    assert compare.differences(both, ("config", "run", "mesh")) == {
        "learning_rate": [0.1, 0.2],
        "fresh": [None, 1],
    }
    text = compare.differing(both)
    assert "learning_rate" in text
    assert "hidden" not in text
    assert "Nothing that the cards record differs" in compare.differing([both[0], both[0]])


def test_samples_of_runs_stand_side_by_side_and_damaged_ones_are_reported(tmp_path: Path) -> None:
    pair = [make(tmp_path / name) for name in ("a", "b", "c")]
    for run in pair:
        sample_files.save(
            run / "samples", [samples.Images("drawn", np.zeros((2, 4, 4)), right=(True, False))]
        )
    (pair[2] / "samples" / "index.json").write_text("{")
    parsed = Parsed(page.render(pair))
    assert parsed.texts.count("drawn") == 1
    assert parsed.texts.count("1 of 2 right") == 2
    assert [tag for tag, _ in parsed.tags].count("img") == 4
    assert any("The samples are left out" in text and "index.json" in text for text in parsed.texts)


def test_the_command_trains_the_run_again(tmp_path: Path) -> None:
    card = CARD | {"config": CARD["config"] | {"opt": {"nesterov": False}, "--x y": 1}}
    assert (
        reproduce(runs.read(make(tmp_path / "a", card)))
        == "dlcore train mlp_digits --steps 20 --seed 3 --offline --parallel jit --mesh"
        " data=2,fsdp=1 "
        "--learning-rate 0.1 --hidden 256 128 --no-augment --name 'it'\"'\"'s' --no-nesterov"
    )


def test_write_goes_into_the_run_or_the_folder_that_runs_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = make(tmp_path / "runs" / "x" / "a"), make(tmp_path / "runs" / "y" / "b")
    assert page.write([a]) == a / "report.html"
    assert page.write([a, b]) == tmp_path / "runs" / "report.html"
    assert (
        page.write([a], tmp_path / "new" / "p.html")
        .read_text("utf-8")
        .startswith("<!doctype html>")
    )
    before = (a / "report.html").read_bytes()
    monkeypatch.setattr(
        Path, "replace", lambda self, target: os.rename(self, tmp_path / "no" / "such")
    )
    with pytest.raises(UsageError, match=r"cannot write .*report\.html: No such file"):
        page.write([a])
    assert (a / "report.html").read_bytes() == before
    assert not [path for path in a.iterdir() if path.name.startswith(".")]


@pytest.mark.slow
def test_the_report_needs_no_jax() -> None:
    code = (
        "import sys, dlcore.report.page, dlcore.runs.sample_files; sys.exit('jax' in sys.modules)"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False
        ).returncode
        == 0
    )
