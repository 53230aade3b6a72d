"""Answers from windows, scores, baselines and predictors of questions, by hand."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.data.sets.question_windows import Encoder, Lengths, Question, encoded, vocabulary
from dlcore.errors import UsageError
from dlcore.tasks import (
    question_answers,
    question_baselines,
    questions,
)
from dlcore.tasks.questions import Found
from dlcore.train.predictor import with_options

TEXT = "Zoé 👩🏽\u200d🚀 lives in New York. Bob, a nurse, lives in Oslo since 1990."
BOB = Question("Where does Bob live?", TEXT, ("Oslo",), (TEXT.index("Oslo"),))
UNANSWERABLE = Question("Who is Eve?", TEXT)


def found(answer: str, probability: float = 0.5, answerable: float = 1.0) -> Found:
    start = TEXT.index(answer)
    return Found(start, start + len(answer), probability, answerable)


def test_the_best_window_answers() -> None:
    lengths = Lengths(8, 4, 8, 4)
    windows = encoded(
        [BOB, UNANSWERABLE], Encoder(lengths, vocabulary([BOB], 1)), ("made", "1", "test")
    )
    count = len(windows)
    best = np.full(count, np.log(0.1))
    held = np.flatnonzero((windows.arrays["start"] > 0) & (windows.number == 0))
    best[held[0]] = np.log(0.8)
    place = int(windows.arrays["start"][held[0]]) - 1
    span = np.full((count, 2), place)
    none = np.full(count, np.log(0.9))
    none[held[0]] = np.log(0.25)
    collected = {"span": span, "log_probability": best, "no_answer": none}
    bob, unanswerable = questions.combined(windows, collected)
    assert bob.text(BOB, 0.5) == "Oslo"
    assert (bob.probability, bob.answerable) == pytest.approx((0.8, 0.75))
    assert bob.text(BOB, 0.76) == ""
    assert unanswerable.answerable == pytest.approx(0.1)
    assert unanswerable.text(UNANSWERABLE, 0.5) == ""


def test_scores_by_hand() -> None:
    posed = [BOB, BOB, UNANSWERABLE, UNANSWERABLE]
    answers = [found("Oslo", 0.9), found("in Oslo", 0.4), found("Bob", 0.1, 0.2), found("Bob", 0.8)]
    scores = questions.scores(posed, answers, 0.5)
    assert scores["exact_match"] == pytest.approx(2 / 4)
    assert scores["f1"] == pytest.approx((1 + 2 / 3 + 1 + 0) / 4)
    assert scores["answered"] == 0.75
    assert scores["no_answer_recall"] == 0.5
    assert scores["sentence_hit"] == 1
    assert scores["f1_of_surest_half"] == 0.5
    # bins of 1.0 with 2 of 3 answerable, and of 0.2 with none: 3/4 * 1/3 + 1/4 * 0.2
    assert scores["answerable_calibration_error"] == pytest.approx(0.3)
    assert "no_answer_recall" not in questions.scores([BOB], [found("Oslo")], 0.0)


def test_baselines_by_hand() -> None:
    sentences = question_baselines.sentences("It cost 1.5 m. Why? Nobody knows...\n So be it")
    shown = ["It cost 1.5 m. Why? Nobody knows...\n So be it"[a:b] for a, b in sentences]
    assert shown == ["It cost 1.5 m.", "Why?", "Nobody knows...", "So be it"]
    rare = question_baselines.rarity([TEXT, "Where does it live in?", "the end"])
    assert rare["zoé"] == pytest.approx(np.log(3))
    assert rare["in"] == pytest.approx(np.log(3 / 2))
    a, b = question_baselines.likeliest_sentence(BOB, rare)
    assert TEXT[a:b].startswith("Bob, a nurse")
    near = Question("Where does Bob have a job?", "Eve left. Bob nurse Oslo was")
    a, b = question_baselines.sliding_window(near, {})
    assert near.context[a:b] == "nurse Oslo"
    assert question_baselines.sliding_window(Question("Bob?", "Bob."), {}) == (0, 0)


@dataclasses.dataclass
class Nothing:
    """A state without parameters."""

    params: dict[str, Any] = dataclasses.field(default_factory=dict)
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)


def predictor() -> question_answers.QuestionPredictor:
    """One that answers with the only word of the text that begins with a digit."""

    def model(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
        digit = batch["context_flags"][..., 3] * 20.0
        logits = jnp.concatenate([jnp.full((len(digit), 1), 10.0), digit], 1)
        return (logits, logits), extra

    encoder = Encoder(Lengths(8, 4, 8, 4), ("bob",))
    finder = question_answers.Finder(model, encoder, 3)
    return question_answers.QuestionPredictor(finder, 0.5)


def test_one_question_for_plain_texts(tmp_path: Path) -> None:
    file, blank = tmp_path / "a.jsonl", tmp_path / "blank.txt"
    file.write_text(TEXT, "utf-8")
    blank.write_text(" \n")
    options = question_answers.QuestionOptions(question="Where does Bob work?")
    each = with_options(predictor(), options)
    posed = each.items([file], ["Eve left."])
    assert posed == [Question(options.question, TEXT), Question(options.question, "Eve left.")]
    first, fault = each.items([file, blank], [])
    assert first == posed[0]
    assert isinstance(fault, UsageError)
    assert "blank.txt is empty" in str(fault)


@pytest.mark.slow
def test_answers_point_into_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(question_answers.jax, "jit", lambda f: f)
    file = tmp_path / "questions.jsonl"
    line = '{"question": "When?", "context": "CONTEXT", "answer": "kept out"}'
    file.write_text(
        line.replace("CONTEXT", TEXT) + "\r\n\r\n" + line.replace("CONTEXT", "No year."), "utf-8"
    )
    each = predictor()
    (first, shown), (second, empty) = each.batch(Nothing(), each.items([file], []))  # type: ignore[arg-type]
    assert first["answer"] == "1990" == TEXT[first["start"] : first["end"]]  # type: ignore[misc]
    assert first["probability"] > 0.99  # type: ignore[operator]
    assert (second["answer"], second["start"]) == ("", None)
    assert "the text does not say" in each.line(dict(second))
    assert len(shown.spans) == 1  # type: ignore[attr-defined]
    assert not empty.spans  # type: ignore[attr-defined]
    assert "question_tokens_left_out" not in first
    longest_question = {"question": "When did Bob, a nurse, move to Oslo?", "context": TEXT}
    ((longer, _),) = each.batch(Nothing(), [each.item(longest_question)])  # type: ignore[arg-type]
    assert longer["question_tokens_left_out"] == 3  # of eleven words
    assert each.line(dict(longer)).endswith("(the question's last 3 tokens were left out)")
    assert each.item({"question": "Who?", "context": TEXT}) == Question("Who?", TEXT)
    file.write_text('{"question": "Who?", "context": "\\ud83d"}')
    (fault,) = each.items([file], [])
    assert isinstance(fault, UsageError)
    assert re.search(r"questions\.jsonl, line 1: .* has half of a character", str(fault))
    with pytest.raises(UsageError, match="question"):
        each.item("Who?")
    file.write_text('{"question": "Who?", "context": "A."}\n{"question": "Who?"}\n')
    good, fault = each.items([file], [])
    assert good == Question("Who?", "A.")
    assert "questions.jsonl, line 2: there is no 'context'" in str(fault)
    (fault,) = each.items([], ["Who?"])
    assert "the text, line 1: not JSON" in str(fault)
