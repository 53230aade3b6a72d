"""The head of a page, of one run and of several."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dlcore.report import head, runs
from tests.report.pages import CARD, Parsed, make

pytestmark = pytest.mark.quick

Lines = list[dict[str, Any]]


def words(markup: object) -> list[str]:
    """The texts of some markup, without what is empty."""
    return [text.strip() for text in Parsed(str(markup)).texts if text.strip()]


def run_of(folder: Path, lines: Lines | None = None, **changes: Any) -> runs.Run:
    return runs.read(make(folder, CARD | changes, lines or []))


@pytest.mark.parametrize(
    ("status", "shown"),
    [("done", "✓"), ("running", "●"), ("stopped", "■"), ("failed", "✕"), ("odd", "?"), (None, "?")],
)
def test_a_status_has_a_sign_and_a_word(tmp_path: Path, status: str | None, shown: str) -> None:
    badge = head.badge(run_of(tmp_path / "a", status=status))
    assert words(badge) == [shown, status or "unknown"]
    assert f'class="badge {status if shown != "?" else "unknown"}"' in badge


def headline(folder: Path, **changes: Any) -> list[str]:
    return words(
        re.search(
            r'<div class="headline">.*?</div>', str(head.one(run_of(folder, **changes))), re.DOTALL
        )[0]
    )  # type: ignore[index]


def test_the_headline_is_of_the_published_metric_on_the_split_that_has_it(tmp_path: Path) -> None:
    published = {"metric": "f1", "value": 0.5, "source": "s", "better": "higher"}
    results = {"test": {"accuracy": 0.9}, "validation": {"f1": 0.25}, "extra": {"f1": 0.75}}
    assert headline(tmp_path / "a", published=published, results=results)[:2] == [
        "f1 on validation",
        "0.2500",
    ]
    results["test"]["f1"] = 0.5
    shown_texts = headline(tmp_path / "b", published=published, results=results)
    assert shown_texts == [
        "f1 on test",
        "0.5000",
        "equal to the published number",
        "published 0.5000",
        "s",
        "Trained offline on embedded data (digits); the published number may be for other data.",
    ]


def test_the_headline_is_the_metric_that_the_experiment_names(tmp_path: Path) -> None:
    results = {"test": {"accuracy": 0.9, "eer": 0.1}, "validation": {"eer": 0.2}}
    for text, shown in (
        ('"""Faces.\n\nHeadline: test/eer\n"""', ["eer on test", "0.1000"]),
        ('"""Faces.\n\nHeadline: test/other\n"""', ["accuracy on test", "0.9000"]),
        ('"""Not closed', ["accuracy on test", "0.9000"]),
    ):
        folder = tmp_path / str(len(text))
        folder.mkdir()
        (folder / "experiment.py").write_text(text)
        assert headline(folder, published=None, results=results) == shown


def test_the_best_baseline_stands_below_the_headline(tmp_path: Path) -> None:
    results = {"test": {"accuracy": 0.9, "majority": 0.2, "words": 0.7}}
    baseline = {"better": None, "unit": "", "baseline_of": "accuracy"}
    metrics = {"majority": baseline, "words": baseline}
    shown = ["accuracy on test", "0.9000", "baseline 0.7000 (words)"]
    assert headline(tmp_path, published=None, results=results, metrics=metrics) == shown


def test_a_number_published_for_another_split_is_compared_with_that_split_alone(
    tmp_path: Path,
) -> None:
    published = {"metric": "f1", "value": 0.5, "source": "s", "better": "higher", "split": "dev"}
    results = {"test": {"f1": 0.6}, "dev": {"f1": 0.4}}
    shown_texts = headline(tmp_path / "a", published=published, results=results)
    assert shown_texts[:2] == ["f1 on dev", "0.4000"]
    assert "worse than published" in " ".join(shown_texts)
    shown_texts = headline(tmp_path / "b", published=published, results={"test": {"f1": 0.6}})
    assert shown_texts[:4] == ["f1 on test", "0.6000", "published 0.5000 on dev", "s"]


def test_without_a_published_number_the_headline_is_a_metric_of_which_more_is_better(
    tmp_path: Path,
) -> None:
    results = {"train": {"accuracy": 1.0}, "test": {"loss": 0.1, "accuracy": 0.9}}
    assert headline(tmp_path / "a", published=None, results=results) == [
        "accuracy on test",
        "0.9000",
    ]
    assert (
        headline(tmp_path / "b", published=None, results={"validation": {"loss": 0.1, "x": 2.0}})[0]
        == "loss on validation"
    )
    far = {"metric": "f1", "value": 0.5, "better": "higher"}
    assert headline(tmp_path / "c", published=far, results=results) == [
        "accuracy on test",
        "0.9000",
    ], "of another metric"
    assert headline(tmp_path / "d", published=far, results={}) == ["published f1", "0.5000"]
    assert 'class="headline"' not in head.one(run_of(tmp_path / "e", published=None, results={}))


@pytest.mark.parametrize(
    ("better", "value", "shown", "kind"),
    [
        ("higher", 0.6, ["▼", "−0.1000, worse than published"], "bad"),
        ("higher", 0.4, ["▲", "+0.1000, better than published"], "good"),
        ("lower", 0.6, ["▼", "−0.1000, better than published"], "good"),
        ("lower", 0.4, ["▲", "+0.1000, worse than published"], "bad"),
        ("odd", 0.4, ["+0.1000 against published"], ""),
        ("higher", float("nan"), [], ""),
    ],
)
def test_the_difference_says_which_way_is_good(
    tmp_path: Path, better: str, value: float, shown: list[str], kind: str
) -> None:
    published = {"metric": "accuracy", "value": value, "better": better}
    text = str(
        head.one(run_of(tmp_path / "a", published=published, results={"test": {"accuracy": 0.5}}))
    )
    found = re.search(r'<p class="delta ?([a-z]*)">.*?</p>', text)
    assert (words(found[0]), found[1]) == (shown, kind) if found else shown == []


def test_the_caution_is_for_offline_runs_with_a_published_number(tmp_path: Path) -> None:
    online = CARD["run"] | {"offline": False}
    assert "Trained offline" not in str(head.one(run_of(tmp_path / "a", run=online)))
    assert "Trained offline" in str(
        head.one(run_of(tmp_path / "b", run=online, config={"offline": True}))
    )
    assert "Trained offline" not in str(head.one(run_of(tmp_path / "c", published=None)))


def test_provenance_and_tiles(tmp_path: Path) -> None:
    more = {
        "started": "2026-03-04T05:06:07+00:00",
        "parameters": {"gen": 1000, "disc": 234},
        "examples_per_second": 1500.0,
        "peak_memory_bytes": 2**21,
        "stopped_early": 12,
        "seconds": {"compile": 1.5, "train": 2.0, "total": 75.0},
    }
    shown_texts = words(head.one(run_of(tmp_path / "a", **more)))
    for text in (
        "started 4 Mar 2026, 05:06 UTC",
        "0123456789",
        "(clean tree)",
        "seed 3",
        "1 × cpu",
        "JAX 0.10.1",
        "20",
        "of 20, stopped early",
        "1 min 15 s",
        "compile 1.50 s, train 2.0 s".replace("1.50", "1.5"),
        "1,500",
        "1,234",
        "gen 1,000, disc 234",
        "2.0 MiB",
        "jit",
    ):
        assert text in shown_texts, text
    bare = words(
        head.one(
            run_of(tmp_path / "b", git={"clean": False}, devices={"platform": "tpu", "count": 4})
        )
    )
    assert "commit not recorded" in bare
    assert "4 × tpu" in bare
    assert "net 1,234,567" not in bare, "one owner needs no name"
    assert "(uncommitted changes)" in words(
        head.one(run_of(tmp_path / "c", git={"commit": "abc", "clean": False}))
    )
    assert "(tree not known)" in words(head.one(run_of(tmp_path / "d", git={"commit": "abc"})))


@pytest.mark.parametrize(
    ("status", "words_"), [("stopped", "The run was stopped."), ("failed", "The run failed.")]
)
def test_an_error_is_shown(tmp_path: Path, status: str, words_: str) -> None:
    text = str(head.one(run_of(tmp_path / "a", status=status, error="no space <left>")))
    assert words(re.search(r'<div class="error".*?</div>', text)[0]) == [words_, "no space <left>"]  # type: ignore[index]
    assert 'class="error"' not in str(head.one(run_of(tmp_path / "b")))


def test_the_head_of_a_comparison(tmp_path: Path) -> None:
    several = [run_of(tmp_path / str(i), experiment=f"e{i}") for i in range(8)]
    text = words(head.several(several))
    assert text[:3] == ["Comparison", "e0, e1, e2, e3, e4, e5 and 2 more", "A perceptron."]
    assert (
        "A perceptron."
        not in words(head.several([several[0], run_of(tmp_path / "x", about="Another.")]))[:3]
    )
    assert words(head.several([several[0], several[0]]))[1] == "e0"
