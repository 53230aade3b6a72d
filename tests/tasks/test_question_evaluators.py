"""The threshold below which a reader gives no answer, and the splits on which it is used."""

from __future__ import annotations

import numpy as np
import pytest

from dlcore.data.sets.question_windows import QuestionWindows, encoded
from dlcore.data.splits import Splits
from dlcore.tasks import question_answers, question_evaluators, questions
from dlcore.train.predictor import with_options, with_results
from tests.tasks.test_questions import BOB, UNANSWERABLE, Nothing, found, predictor


def collected(windows: QuestionWindows) -> dict[str, np.ndarray]:
    """The spans of a reader that takes the second question for one without an answer."""
    return {
        "span": np.zeros((len(windows), 2), int),
        "log_probability": np.zeros(len(windows)),
        "no_answer": np.where(windows.number == 1, np.log(0.9), np.log(0.4)),
    }


def test_the_threshold_is_chosen_on_validation_and_used_for_answers() -> None:
    answers = [found("Oslo", 0.9, 0.6), found("Bob", 0.1, 0.2), found("Bob", 0.8, 0.3)]
    assert questions.best_threshold([BOB, UNANSWERABLE, UNANSWERABLE], answers) == 0.6
    assert questions.best_threshold([BOB, BOB, BOB], answers) == 0  # always answers
    each = predictor()
    windows = encoded([BOB, UNANSWERABLE], each.finder.encoder, ("made", "1", "validation"))
    splits = Splits.of(train=windows, validation=windows, test=windows)
    chosen = question_evaluators.Threshold(each.finder, splits)
    assert chosen.of(answers[:2]) == 0.6
    assert question_evaluators.Threshold(each.finder, splits, 0.0).of(answers[:2]) == 0
    end = question_evaluators.evaluators(chosen)[2]
    scores = end.score(Nothing(), collected(windows), "validation")  # type: ignore[arg-type]
    assert scores["threshold"] == pytest.approx(0.6)
    assert scores["no_answer_recall"] == 1
    known = with_results(each, {"validation": dict(scores)})
    assert known.threshold == pytest.approx(0.6)
    assert with_options(known, question_answers.QuestionOptions(threshold=0.0)).threshold == 0


def test_with_mixed_splits_the_threshold_is_of_these_alone() -> None:
    each = predictor()
    plain = encoded([BOB, BOB], each.finder.encoder, ("made", "1", "test"))
    both = encoded([BOB, UNANSWERABLE], each.finder.encoder, ("made", "1", "mixed"))
    splits = Splits.of(
        {"train": plain, "validation": plain, "test": plain}
        | {"validation_with_unanswerable": both, "test_with_unanswerable": both}
    )
    chosen = question_evaluators.Threshold(each.finder, splits)
    *_, end, mixes, _ = question_evaluators.evaluators(chosen)
    assert chosen.chosen_on == "validation_with_unanswerable"
    scores = mixes.score(Nothing(), collected(both), "validation_with_unanswerable")  # type: ignore[arg-type]
    assert scores["threshold"] == pytest.approx(0.6)
    assert scores["no_answer_recall"] == 1
    assert scores["answered"] == 0.5
    assert scores["f1_of_no_answer"] == scores["exact_match_of_no_answer"] == 0.5
    assert scores.keys() == mixes.metrics.keys()
    assert scores["answerable_calibration_error"] == pytest.approx((0.4 + 0.1) / 2)
    scores = end.score(Nothing(), collected(plain), "test")  # type: ignore[arg-type]
    assert (scores["threshold"], scores["answered"]) == (0, 1)
    known = with_results(
        each, {"validation": {"threshold": 0.0}, "validation_with_unanswerable": {"threshold": 0.3}}
    )
    assert known.threshold == 0.3
