"""Samples of a reader's answers: calibration, scores by kind of question, and marked texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from jax import Array

from dlcore.data.sets.question_windows import Question, QuestionWindows
from dlcore.metrics import questions as metrics
from dlcore.samples import Sample, Span, Table
from dlcore.tasks.confusion import digits
from dlcore.tasks.question_answers import Evidence, Finder
from dlcore.tasks.questions import Found
from dlcore.tasks.reliability import diagram
from dlcore.train.step import State

KINDS = ("what", "who", "when", "where", "which", "how", "why")  # first words of questions


def samples(
    finder: Finder, test: QuestionWindows, threshold: Callable[[State], float], count: int = 24
) -> Callable[[State, Array], list[Sample]]:
    """Shows calibration, scores by kind of question, and texts in which the answers are marked.

    Args:
        finder: a reader.
        test: questions, of which the texts of `count` are shown, evenly spread.
        threshold: state -> the probability of being answerable below which no answer is given.
        count: largest number of texts.

    Returns:
        (state, key) -> a reliability diagram of the probability of answers (left out where none is
        given), `by_kind`, both of all questions, and an `Evidence` for each text; the key is not
        used.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        found, used = finder.of_windows(state, test), threshold(state)
        answers = [each.text(q, used) for q, each in zip(test.questions, found, strict=True)]
        scored = zip(test.questions, answers, found, strict=True)
        given = [
            (each.probability, metrics.exact_match(answer, q.answers) > 0)
            for q, answer, each in scored
            if answer
        ]
        more: list[Sample] = []
        if given:
            title = "Reliability of the probability of answers"
            axes = "probability of the answer", "fraction of exact matches"
            probability, right = zip(*given, strict=True)
            more.append(diagram(title, *axes, {"model": (probability, right)}))
        index = np.unique(np.linspace(0, len(found) - 1, count).astype(int))
        texts = [shown(test.questions[i], found[i], used) for i in index]
        return [*more, by_kind(test.questions, answers), *texts]

    return draw


def kind_of(question: str) -> str:
    """Returns the first word of a question in lower case if it is in `KINDS`, else "other"."""
    first = re.search(r"[^\W\d_]+", question.lower())
    return first[0] if first and first[0] in KINDS else "other"


def by_kind(questions: Sequence[Question], answers: Sequence[str]) -> Table:
    """Tabulates exact match and F1 of all questions and of each kind (`kind_of`) that occurs.

    Args:
        questions: at least one.
        answers: one to each; "" where none is given.
    """
    kinds = [kind_of(each.question) for each in questions]
    rows = []
    for kind in ("all", *KINDS, "other"):
        chosen = [i for i, each in enumerate(kinds) if kind in ("all", each)]
        if chosen:
            references = [questions[i].answers for i in chosen]
            found = metrics.scores([answers[i] for i in chosen], references)
            rows.append((kind, len(chosen), digits(found.exact_match), digits(found.f1)))
    header = ("first word", "questions", "exact match", "F1")
    return Table("Test questions by kind", header, tuple(rows))


def shown(question: Question, found: Found, threshold: float) -> Evidence:
    """Marks the reader's answer in a question's text as right (exact match) or wrong.

    Args:
        question: with its text and its true answers.
        found: the reader's answer.
        threshold: of `Found.text`.

    Returns:
        The text; where the answer is wrong the first true answer, if there is one, is marked too.
        An answer that is not given ("") is not marked.
    """
    answer = found.text(question, threshold)
    right = metrics.exact_match(answer, question.answers) > 0
    spans = []
    if question.answers and not right:
        start = question.starts[0]
        spans.append(Span(start, start + len(question.answers[0]), "true answer", 0))
    if answer:
        mark = "right" if right else "wrong"
        spans.append(Span(found.start, found.end, f"answer, {found.probability:.2f}", mark))
    title = f"{question.question} {answer or 'The text does not say.'}"
    return Evidence(title, question.context, tuple(spans))
