"""Scores of questions on stories: errors of tasks, calibration, and the commonest answers."""

from __future__ import annotations

import collections
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.data.facts import Facts
from dlcore.data.sets.babi import TASKS, Story
from dlcore.data.splits import Splits
from dlcore.metrics.calibration import reliability
from dlcore.metrics.known import Metric
from dlcore.samples import Table
from dlcore.train.evaluators import Collected, Evaluator, OfState, Scored
from dlcore.train.experiment import Published
from dlcore.train.model import Logits
from dlcore.train.step import Batch, State

SOLVED = 0.05  # a task is solved where the error is less
# Errors in percent of tasks 1 to 20, as their papers give them: MemN2N with 3 hops and position
# encoding on 1,000 questions (Sukhbaatar et al. 2015, by the README of jojonki/MemoryNetworks), and
# EntNet on 10,000 (Henaff et al. 2017).
MEMN2N_1K = (
    *(0.1, 21.6, 64.2, 3.8, 14.1, 7.9, 21.6, 12.6, 23.3, 17.4),
    *(4.3, 0.3, 9.9, 1.8, 0.0, 52.1, 50.1, 13.6, 87.4, 0.0),
)
ENTNET_10K = (
    *(0.0, 0.1, 4.1, 0.0, 0.3, 0.2, 0.0, 0.5, 0.1, 0.6),
    *(0.3, 0.0, 1.3, 0.0, 0.0, 0.2, 0.5, 0.3, 2.3, 0.0),
)


def published(examples: str, facts: Facts) -> Published | None:
    """Returns the published `mean_error` of MemN2N, trained on 1,000 questions of each task.

    It is None where `examples` is "10k", or where the data are not all of the tasks `TASKS`.

    Args:
        examples: "1k" or "10k", training questions of each task.
        facts: of the training data.
    """
    if examples != "1k" or tuple(facts.tasks) != TASKS:
        return None
    mean = round(sum(MEMN2N_1K) / len(MEMN2N_1K) / 100, 3)
    source = "MemN2N, 3 hops, by the README of jojonki/MemoryNetworks"
    return Published("mean_error", mean, source, "lower", caveat="second-hand")


def errors(task: np.ndarray, right: np.ndarray) -> dict[int, float]:
    """Computes the error of each task.

    Args:
        task: number of the task of each question, int [N].
        right: whether it was answered correctly, bool [N].

    Returns:
        {task: fraction of its questions that were answered wrongly}.
    """
    return {int(each): float(1 - right[task == each].mean()) for each in np.unique(task)}


def commonest(train: Sequence[Story], test: Sequence[Story]) -> np.ndarray:
    """Scores a baseline: each question gets the commonest answer of its task in training.

    Args:
        train: questions that are counted.
        test: questions to answer; the answer to one of a task that train lacks is wrong.

    Returns:
        Whether the baseline's answer is right, bool [N], in the order of `test`.
    """
    counts: dict[int, collections.Counter[str]] = {}
    for story in train:
        counts.setdefault(story.task, collections.Counter())[story.answer] += 1
    best = {task: found.most_common(1)[0][0] for task, found in counts.items()}
    return np.array([best.get(story.task) == story.answer for story in test])


def evaluators(model: Logits, splits: Splits) -> list[Evaluator]:
    """Evaluates errors of tasks, their calibration, and the commonest answers as a baseline.

    Metrics: `mean_error` over tasks; `tasks_solved`, the number of tasks with an error below 5 %;
    on test also `error_task_NN`, `calibration_error` of the answer's probability in ten bins (Guo
    et al. 2017), and `mean_error_of_commonest`, the mean error of the baseline `commonest`. Errors
    are in [0, 1].

    Args:
        model: computes (logits [batch, answers], attention).
        splits: of `Stories`; validation is scored during training, test at the end.
    """

    def collects(state: State, batch: Batch) -> dict[str, Array]:
        (logits, _), _ = model(state.params, state.extra, batch, None, False)
        p = jax.nn.softmax(logits.astype(jnp.float32)).max(-1)
        return {
            "right": logits.argmax(-1) == batch["label"],
            "task": batch["task"],
            "probability": p,
        }

    def brief(collected: Collected, split: str) -> dict[str, float]:
        each = errors(collected["task"], collected["right"])
        solved = sum(error < SOLVED for error in each.values())
        return {"mean_error": float(np.mean([*each.values()])), "tasks_solved": float(solved)}

    def full(collected: Collected, split: str) -> dict[str, float]:
        each = errors(collected["task"], collected["right"])
        p = np.minimum(collected["probability"], 1)
        return {
            **brief(collected, split),
            **{f"error_task_{task:02d}": error for task, error in each.items()},
            "calibration_error": reliability(p, collected["right"]).error,
        }

    def baseline(state: State) -> dict[str, float]:
        right = commonest(splits.train.stories, splits.test.stories)
        each = errors(splits.test.arrays["task"], right)
        return {"mean_error_of_commonest": float(np.mean([*each.values()]))}

    lower = Metric("lower")
    declared = {"mean_error": lower, "tasks_solved": Metric("higher")}
    each = {f"error_task_{task:02d}": lower for task in splits.facts.tasks}
    more = {**declared, **each, "calibration_error": lower}
    return [
        Scored({"validation": splits.validation}, collects, brief, declared, "eval"),
        Scored({"test": splits.test}, collects, full, more, "end"),
        OfState(
            "test", baseline, {"mean_error_of_commonest": Metric(None, "", "mean_error")}, "end"
        ),
    ]


def table(task: np.ndarray, right: np.ndarray) -> Table:
    """Tabulates the error of each task in percent, beside `MEMN2N_1K` and `ENTNET_10K`.

    Args:
        task, right: as of `errors`.
    """
    header = "task", "error", "MemN2N, 1k, paper", "EntNet, 10k, paper"
    lines = [
        (str(number), round(100 * error, 1), *(_of(number, p) for p in (MEMN2N_1K, ENTNET_10K)))
        for number, error in errors(task, right).items()
    ]
    return Table("Error of each task in percent", header, tuple(lines))


def _of(task: int, errors_of_tasks: Sequence[float]) -> float | str:
    return errors_of_tasks[task - 1] if task in TASKS else ""
