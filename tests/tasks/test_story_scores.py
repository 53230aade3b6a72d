"""Scores of questions on stories, by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest

from dlcore.data.facts import Facts
from dlcore.data.sets.babi import TASKS, Examples, Story
from dlcore.tasks import story_scores

pytestmark = pytest.mark.quick


def story(task: int, answer: str) -> Story:
    return Story(task, ("Mary left.",), "Who?", answer)


def test_errors_of_tasks_their_mean_calibration_and_the_commonest_answer() -> None:
    task, right = np.array([1, 1, 2]), np.array([True, False, True])
    assert story_scores.errors(task, right) == {1: 0.5, 2: 0.0}
    train = [story(1, "a"), story(1, "b"), story(1, "b"), story(2, "a")]
    test = [story(1, "b"), story(1, "a"), story(2, "a"), story(3, "a")]
    assert story_scores.commonest(train, test).tolist() == [True, False, True, False]
    splits: Any = SimpleNamespace(
        train=SimpleNamespace(stories=train),
        validation=None,
        test=SimpleNamespace(stories=test[:3], arrays={"task": task}),
        facts=Facts(tasks=[1, 2]),
    )
    _, full, baseline = story_scores.evaluators(None, splits, "1k")  # type: ignore[arg-type]
    collected = {"task": task, "right": right, "probability": np.array([0.95, 0.95, 0.55])}
    found = full.score(None, collected, "test")  # type: ignore[arg-type]
    assert found == {
        "mean_error": 0.25,
        "tasks_solved": 1.0,
        "error_task_01": 0.5,
        "error_task_02": 0.0,
        "calibration_error": pytest.approx(0.45),  # (2 * |0.5 - 0.95| + |1 - 0.55|) / 3
    }
    assert found.keys() == full.metrics.keys()
    assert baseline.score(None, {}, "test") == {  # type: ignore[arg-type]
        "mean_error_of_commonest": 0.25,
        "tasks_solved_of_commonest": 1.0,
    }


def test_published_errors_are_of_all_tasks_and_of_10k_without_task_3() -> None:
    found = story_scores.published("1k", Facts(tasks=[*TASKS]))
    assert found is not None
    assert (found.metric, found.value, found.better) == ("mean_error", 0.203, "lower")
    large = story_scores.published("10k", Facts(tasks=[*TASKS]))
    assert large is not None
    # (10.8 - 4.1) / 19 %
    assert (large.metric, large.value) == ("mean_error_without_task_03", 0.00353)
    assert large.source.startswith("EntNet")
    assert large.caveat == "second-hand"
    for examples in get_args(Examples):
        assert story_scores.published(examples, Facts(tasks=[1, 2])) is None


@pytest.mark.parametrize("examples", get_args(Examples))
def test_what_is_compared_is_scored_over_the_same_tasks(examples: Examples) -> None:
    task = np.repeat(TASKS, 2)
    splits: Any = SimpleNamespace(validation=None, test=None, facts=Facts(tasks=[*TASKS]))
    _, full, _ = story_scores.evaluators(None, splits, examples)  # type: ignore[arg-type]
    right = (task != 3) & ((task != 7) | (np.arange(40) % 2 == 0))
    collected = {"task": task, "right": right, "probability": np.ones(40)}
    found = full.score(None, collected, "test")  # type: ignore[arg-type]
    assert found.keys() == full.metrics.keys()
    compared = story_scores.published(examples, splits.facts)
    assert compared is not None
    assert found[compared.metric] == pytest.approx({"1k": 1.5 / 20, "10k": 0.5 / 19}[examples])
    assert ("mean_error_without_task_03" in found) == (examples == "10k")


def test_published_columns_have_the_totals_of_their_sources() -> None:
    columns = (story_scores.MEMN2N_1K, story_scores.MEMN2N_10K, story_scores.ENTNET_10K)
    assert [len(each) for each in columns] == [20] * 3
    assert [round(float(np.mean(each)), 2) for each in columns] == [20.3, 15.37, 0.54]
    assert [sum(error < 5 for error in each) for each in columns] == [7, 8, 20]


def test_the_table_has_totals_over_the_tasks_that_it_shows() -> None:
    table = story_scores.table(np.array([2, 3, 4, 4]), np.array([False, True, True, True]))
    assert [name.split(",")[0] for name in table.header[2:]] == [
        "MemN2N",
        "MemN2N of jojonki",
        "EntNet",
    ]
    assert table.rows == (
        ("2", 100.0, 21.6, 2.2, 0.1),
        ("3", 0.0, 64.2, 6.4, 4.1),
        ("4", 0.0, 3.8, 21.4, 0.0),
        ("mean", 33.33, 29.87, 10.0, 1.4),
        ("mean without task 3 (1,000 questions in our 10k)", 50.0, 12.7, 11.8, 0.05),
        ("tasks solved (error under 5 %)", 2, 1, 1, 3),
    )
    rows = story_scores.table(np.array([0, 2]), np.array([True, False])).rows
    assert rows == (
        ("0", 0.0, "", "", ""),
        ("2", 100.0, 21.6, 2.2, 0.1),
        ("mean", 50.0, "", "", ""),
        ("tasks solved (error under 5 %)", 1, "", "", ""),
    )
