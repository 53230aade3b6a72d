"""The comparison of several runs, and the results of one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dlcore.report import compare, runs
from tests.report.test_head import run_of, words

pytestmark = pytest.mark.quick


def test_the_best_of_each_metric_is_marked_by_its_direction(tmp_path: Path) -> None:
    def one(name: str, **test: float) -> runs.Run:
        return run_of(
            tmp_path / name,
            published=None,
            results={"validation": {"loss": 1.0}, "test": test, "other": {"odd": 1.0}},
        )

    pair = [one("a", accuracy=0.9, loss=0.2, odd=1.0), one("b", accuracy=0.8, loss=0.1, odd=2.0)]
    assert compare.columns(pair)[:4] == [
        ("test", "accuracy", "higher"),
        ("test", "loss", "lower"),
        ("test", "odd", None),
        ("validation", "loss", "lower"),
    ]
    cells = re.findall(r'<td class="(n[^"]*)">(.*?)</td>', str(compare.comparison(pair)))
    marked = [words(text) for kind, text in cells if kind == "n best"]
    assert marked == [["0.9000", "(best)"], ["0.1000", "(best)"]]
    shown_texts = words(compare.comparison(pair))
    assert shown_texts[1].startswith("The best value is underlined")
    assert shown_texts[2:6] == ["Run", "test", "validation", "other"]
    assert "The best value" not in " ".join(words(compare.comparison([pair[0], pair[0]]))), (
        "equal values have no best"
    )


def test_a_card_says_the_direction_where_no_name_does(tmp_path: Path) -> None:
    def one(name: str, better: str) -> runs.Run:
        return run_of(
            tmp_path / name,
            published={"metric": "odd", "value": 1.0, "better": better},
            results={"test": {"odd": 1.0}},
        )

    assert compare.columns([one("a", "lower")]) == [("test", "odd", "lower")]
    assert compare.columns([one("b", "sideways")]) == [("test", "odd", None)]


def test_not_a_number_never_wins(tmp_path: Path) -> None:
    values = [float("nan"), 0.5, 0.25]
    three = [
        run_of(tmp_path / str(i), results={"test": {"accuracy": v}}) for i, v in enumerate(values)
    ]
    text = str(compare.comparison(three))
    assert re.findall(r'<td class="n best">([\d.]+)', text) == ["0.5000"]
    assert re.findall(r'<td class="n best">', str(compare.comparison(three[:2]))) == [], (
        "alone it wins nothing"
    )


def test_results_of_one_run(tmp_path: Path) -> None:
    results = {
        "validation": {"loss": 2.0},
        "extra": {"x": 3.0},
        "test": {"accuracy": 0.5, "loss": 1.0},
    }
    assert words(compare.results(run_of(tmp_path / "a", results=results))) == [
        "Metric",
        "test",
        "validation",
        "extra",
        "accuracy",
        "0.5000",
        "—",
        "—",
        "loss",
        "1.000",
        "2.000",
        "—",
        "x",
        "—",
        "—",
        "3.000",
    ]
    assert compare.results(run_of(tmp_path / "b", results={})) is None


def test_fields_are_flattened_and_parameters_summed(tmp_path: Path) -> None:
    assert compare.flatten({"a": {"b": 1, "c": {"d": [2]}}, "e": 3}, "x") == {
        "x.a.b": 1,
        "x.a.c.d": [2],
        "x.e": 3,
    }
    assert compare.flatten({"a": 1}, "") == {"a": 1}
    assert compare.parameters(run_of(tmp_path / "a", parameters={"g": 2, "d": 3, "bad": "x"})) == 5
    assert compare.parameters(run_of(tmp_path / "b", parameters={})) is None


def test_differences_are_in_two_groups(tmp_path: Path) -> None:
    pair = [
        run_of(tmp_path / "a"),
        run_of(tmp_path / "b", versions={"jax": "0.12"}, mesh={"data": 4, "fsdp": 1}),
    ]
    assert words(compare.differing(pair)) == [
        "Differences",
        "Field",
        "a",
        "b",
        "Choices",
        "mesh.data",
        "2",
        "4",
        "Circumstances",
        "versions.jax",
        "0.10.1",
        "0.12",
    ]
