"""Scores of questions on stories, by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dlcore.data.facts import Facts
from dlcore.data.sets.babi import TASKS, Story
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
    _, full, baseline = story_scores.evaluators(None, splits)  # type: ignore[arg-type]
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
    assert baseline.score(None, {}, "test") == {"mean_error_of_commonest": 0.25}  # type: ignore[arg-type]


def test_published_errors_stand_beside_all_tasks_of_1k_alone() -> None:
    found = story_scores.published("1k", Facts(tasks=[*TASKS]))
    assert found is not None
    assert (found.metric, found.value, found.better) == ("mean_error", 0.203, "lower")
    assert story_scores.published("10k", Facts(tasks=[*TASKS])) is None
    assert story_scores.published("1k", Facts(tasks=[1, 2])) is None
    rows = story_scores.table(np.array([0, 2]), np.array([True, False])).rows
    assert rows == (("0", 0.0, "", ""), ("2", 100.0, 21.6, 0.1))
