"""Samples of a reader's answers."""

from __future__ import annotations

import pytest

from dlcore.data.sets.question_windows import encoded
from dlcore.tasks import question_answers, question_samples
from tests.tasks.test_questions import BOB, UNANSWERABLE, found, predictor


def test_samples_are_calibration_scores_by_kind_and_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    posed = [BOB, BOB._replace(question="\u201cWho's where?"), BOB, UNANSWERABLE]
    answers = [found("Oslo", 0.9), found("Oslo", 0.6), found("in Oslo", 0.7), found("Bob", 0.1, 0)]
    each = predictor()
    monkeypatch.setattr(question_answers.Finder, "of_windows", lambda *_: answers)
    windows = encoded(posed, each.finder.encoder, ("made", "1", "test"))
    draw = question_samples.samples(each.finder, windows, lambda state: 0.5, count=3)
    reliability, table, *texts = (vars(sample) for sample in draw(None, None))  # type: ignore[arg-type]
    assert reliability["series"][1].y.tolist() == [1, 0, 1]  # of the bins of 0.6, 0.7 and 0.9
    assert table["rows"] == (
        ("all", 4, 0.75, 0.917),
        ("who", 2, 1.0, 1.0),
        ("where", 2, 0.5, 0.833),
    )
    assert [text["title"][:5] for text in texts] == ["Where", "\u201cWho'", "Who i"]
    kinds = ["In what year?", "HOW many?", "1990?", "Whose?", ""]
    assert [question_samples.kind_of(kind) for kind in kinds] == ["other", "how", *["other"] * 3]
    draw = question_samples.samples(each.finder, windows, lambda state: 1.1)
    assert [type(sample).__name__ for sample in draw(None, None)][:2] == ["Table", "Evidence"]  # type: ignore[arg-type]
