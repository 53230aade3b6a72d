"""Evaluation of answers to questions, with a threshold that is chosen on validation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jax import Array

from dlcore.data.sets.question_windows import QuestionWindows
from dlcore.data.sets.questions import mixed
from dlcore.data.splits import Splits
from dlcore.metrics.known import Metric
from dlcore.tasks import questions
from dlcore.tasks.question_answers import Finder
from dlcore.tasks.questions import Found
from dlcore.train.evaluators import Collected, Evaluator, OfState, Schedule
from dlcore.train.step import Batch, State

_CURVE = {"exact_match": Metric("higher"), "f1": Metric("higher")}
_REST = {
    "sentence_hit": Metric("higher"),
    "no_answer_recall": Metric("higher"),
    "answerable_calibration_error": Metric("lower"),
    "answered": Metric(None),
    "f1_of_surest_half": Metric("higher"),
    "calibration_error": Metric("lower"),
    "threshold": Metric(None),
    "window_accuracy": Metric("higher"),  # of the loss
}
_NO_ANSWER = {f"{name}_of_no_answer": Metric(None, baseline_of=name) for name in _CURVE}
_MIXED = {
    **_CURVE,
    **_NO_ANSWER,
    **{name: _REST[name] for name in ("no_answer_recall", "answerable_calibration_error")},
    **{name: _REST[name] for name in ("answered", "threshold")},
}


@dataclasses.dataclass(frozen=True)
class Threshold:
    """The probability of being answerable below which a reader gives no answer.

    Called with a state it returns the threshold, in [0, 1]; the reader answers the questions
    `chosen_on` for it, unless `fixed` is a number or all of these questions have an answer.

    Attributes:
        finder: the reader.
        splits: with the questions `chosen_on`.
        fixed: the threshold; None: that with the largest F1 on `chosen_on`, 0 where all its
            questions have an answer.
    """

    finder: Finder
    splits: Splits
    fixed: float | None = None

    @property
    def chosen_on(self) -> str:
        """The split on which it is chosen: `mixed("validation")` if there is one, or validation."""
        return mixed("validation") if mixed("validation") in self.splits.others else "validation"

    @property
    def windows(self) -> QuestionWindows:
        """The questions `chosen_on`."""
        windows = self.splits[self.chosen_on]
        assert isinstance(windows, QuestionWindows)
        return windows

    @property
    def tested(self) -> Threshold:
        """That of validation and test: 0 where a split `mixed` has one of its own."""
        return self if self.chosen_on == "validation" else dataclasses.replace(self, fixed=0.0)

    def __call__(self, state: State) -> float:
        """Computes the threshold of a state; the reader answers the questions for it."""
        windows = self.windows
        if self.fixed is not None or all(each.answers for each in windows.questions):
            return self.fixed or 0.0
        return self.of(self.finder.of_windows(state, windows))

    def of(self, found: Sequence[Found]) -> float:
        """Returns the threshold, given the reader's answers to the questions `chosen_on`.

        Args:
            found: one answer to each question, in their order; not used where `fixed` is a number.
        """
        if self.fixed is not None:
            return self.fixed
        return questions.best_threshold(self.windows.questions, found)


@dataclasses.dataclass(frozen=True, eq=False)
class Answers:
    """Evaluates answers to questions, see `evaluators`.

    Attributes:
        threshold: of the reader.
        sources: {split: windows of questions}.
        metrics: which metrics are computed, with direction and unit.
        every: when they are computed.
    """

    threshold: Threshold
    sources: Mapping[str, QuestionWindows]
    metrics: Mapping[str, Metric]
    every: Schedule

    def collect(self, state: State, batch: Batch) -> Mapping[str, Array]:
        """Computes the best spans of the windows of a batch, see `questions.collect`."""
        finder = self.threshold.finder
        return questions.collect(finder.model, state.params, state.extra, batch, finder.longest)

    def score(self, state: State, collected: Collected, split: str) -> Mapping[str, float]:
        """Computes the metrics of a split; the threshold of test is that of validation."""
        windows, chosen_on = self.sources[split], self.threshold.chosen_on
        found = questions.combined(windows, collected)
        used = self.threshold.of(found) if split == chosen_on else self.threshold(state)
        unanswerable = float(np.mean([not each.answers for each in windows.questions]))
        result = questions.scores(windows.questions, found, used) | {"threshold": used}
        result |= dict.fromkeys(_NO_ANSWER, unanswerable)
        return {name: result[name] for name in self.metrics if name in result}


def evaluators(threshold: Threshold) -> list[Evaluator]:
    """Evaluates exact match and F1 on validation during training, and all metrics at the end.

    `threshold` is the threshold that was used. For the other metrics see `questions.scores`, and
    for two baselines on test `questions.baseline_scores`. Where there are splits `mixed`, the
    reader uses its threshold on these alone, and answers all questions of validation and test; the
    baseline on them is to give no answer (`f1_of_no_answer`, `exact_match_of_no_answer`).

    Args:
        threshold: of a reader, on splits of `data.sets.questions`. `dlcore predict` uses it.
    """
    splits = threshold.splits
    train, validation, test = splits.train, splits.validation, splits.test
    # these data have no other splits than `mixed` ones
    mixes = {
        name: each for name, each in splits.others.items() if isinstance(each, QuestionWindows)
    }
    plain = threshold.tested
    return [
        Answers(plain, {"validation": validation}, _CURVE, "eval"),
        Answers(plain, {"test": test}, _CURVE, "end"),
        Answers(plain, {"validation": validation, "test": test}, _REST, "end"),
        *([Answers(threshold, mixes, _MIXED, "end")] if mixes else []),
        OfState(
            "test", lambda state: questions.baseline_scores(train, test), questions.BASELINES, "end"
        ),
    ]
