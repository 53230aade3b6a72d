"""Answers to a user's questions on texts, as marked spans of the text, and samples."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
from jax import Array

from dlcore.bounds import Range
from dlcore.data.own import questions as own
from dlcore.data.sets.question_windows import Encoder, Question, QuestionWindows, encoded
from dlcore.data.sets.questions import mixed
from dlcore.metrics import questions as metrics
from dlcore.samples import Part, PartWriter, Sample, Span, Table
from dlcore.tasks.confusion import digits
from dlcore.tasks.questions import Found, collect, combined
from dlcore.tasks.reliability import diagram
from dlcore.train.model import Logits
from dlcore.train.predictor import Answer
from dlcore.train.step import State

ROWS = 16  # windows of one program
KINDS = ("what", "who", "when", "where", "which", "how", "why")  # first words of questions


@dataclasses.dataclass(frozen=True)
class Evidence:
    """A text in which the answers to a question are marked.

    Attributes:
        title: the question, and the answer where one is shown.
        text: the text.
        spans: ranges of its characters to mark, each a `samples.Span`.
    """

    title: str
    text: str
    spans: tuple[Span, ...]

    def parts(self, files: PartWriter) -> list[Part]:
        """Writes the text and returns one part "text"."""
        return [files.text(self.text, self.spans)]


@dataclasses.dataclass(frozen=True)
class Finder:
    """Finds answers with a trained reader.

    Called with (state, questions) it returns the most probable span of each question in its text, a
    list of `Found`.

    Attributes:
        model: computes logits of start and end.
        encoder: of questions and texts.
        longest: largest number of tokens of an answer.
    """

    model: Logits
    encoder: Encoder
    longest: int

    def __call__(self, state: State, questions: Sequence[Question]) -> list[Found]:
        """Finds the most probable span for each question, `ROWS` windows at a time."""
        return self.of_windows(state, encoded(questions, self.encoder, ("questions", "own", "own")))

    def of_windows(self, state: State, windows: QuestionWindows) -> list[Found]:
        """Finds the most probable span for each question of encoded windows.

        Returns:
            One `Found` per question of `windows.questions`, in their order.
        """
        chunks = []
        for first in range(0, len(windows), ROWS):
            index = np.minimum(np.arange(first, first + ROWS), len(windows) - 1)
            batch = {**windows.gather(index), "row": np.arange(ROWS, dtype=np.int32)}
            found = jax.device_get(self._run(state, batch))
            kept = min(ROWS, len(windows) - first)
            chunks.append({name: array[:kept] for name, array in found.items()})
        names = chunks[0]
        collected = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in names}
        return combined(windows, collected)

    @functools.cached_property
    def _run(self) -> Callable[[State, Mapping[str, Any]], dict[str, Array]]:
        return jax.jit(
            lambda state, batch: collect(self.model, state.params, state.extra, batch, self.longest)
        )


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


@dataclasses.dataclass(frozen=True)
class QuestionOptions:
    """Holds the flags of `dlcore predict` for a model that finds answers to questions in texts."""

    question: str = ""
    """asked of every text: files, --text and standard input then are plain texts"""
    threshold: Annotated[float, Range(0.0, 1.0)] | None = None
    """no answer is given where the probability that the text answers the question is below this (0:
    there always is an answer); by default the value with the largest F1 on validation"""


@dataclasses.dataclass(frozen=True)
class QuestionPredictor:
    """Answers JSON lines of questions with their texts.

    Attributes:
        finder: a reader.
        chosen: the threshold that the run has chosen on validation; 0 until it is evaluated.
        options: flags of `dlcore predict`.
    """

    finder: Finder
    chosen: float = 0.0
    options: QuestionOptions = dataclasses.field(default_factory=QuestionOptions)
    reads = "table"
    takes = own.TAKES

    def with_results(self, results: Mapping[str, Mapping[str, float]]) -> QuestionPredictor:
        """Returns a copy with the threshold that was chosen on validation, from a run's results.

        Args:
            results: {split: {metric: value}}; without a `threshold` of `mixed("validation")` or
                "validation", `chosen` stays as it is.
        """
        splits = mixed("validation"), "validation"
        found = [results[split] for split in splits if "threshold" in results.get(split, {})]
        return dataclasses.replace(self, chosen=found[0]["threshold"]) if found else self

    @property
    def threshold(self) -> float:
        """The option, else `chosen`: below this probability of `answerable` there is no answer."""
        return self.chosen if self.options.threshold is None else self.options.threshold

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[Question]:
        """Reads questions and their contexts from files, then from strings.

        Args:
            files: .json files in SQuAD's format; other files of JSON lines
                {"question": ..., "context": ...}. Other keys are ignored. With the option
                `question` plain texts, of which it is asked.
            text: strings of one or more such lines, or with `question` plain texts.

        Raises:
            UsageError: a file cannot be read or is not in SQuAD's format, or a line is not such an
                object; the message names the place.
        """
        found = own.unanswered(files, text, self.options.question)
        return [Question(question, context) for question, context in found]

    def item(self, value: object) -> Question:
        """Converts a mapping with `question` and `context` to a question.

        Raises:
            UsageError: it is not a mapping, or one of the two is missing, blank or not a string.
        """
        return Question(*own.of_mapping(value))

    def batch(self, state: State, items: Sequence[Question]) -> list[Answer]:
        """Answers questions.

        Args:
            state: trained parameters.
            items: as `items` returned them.

        Returns:
            ({"question", "answer", "start", "end", "probability", "answerable"}, the marked text)
            of each; see `Found`. `answer` is context[start:end]; where no answer is given it is "",
            and `start` and `end` are None. Where a question was truncated, also
            "question_tokens_left_out", the number of its tokens that are not read.
        """
        return [
            self._answer(question, each)
            for question, each in zip(items, self.finder(state, items), strict=True)
        ]

    def _answer(self, question: Question, found: Found) -> Answer:
        answer = found.text(question, self.threshold)
        spans = [Span(found.start, found.end, f"{found.probability:.2f}", "prompt")]
        record = {
            "question": question.question,
            "answer": answer,
            "start": found.start if answer else None,
            "end": found.end if answer else None,
            "probability": found.probability,
            "answerable": found.answerable,
        }
        encoder = self.finder.encoder
        rest = len(encoder.tokens(question.question).ids) - encoder.lengths.question
        if rest > 0:
            record["question_tokens_left_out"] = rest
        return record, Evidence(question.question, question.context, tuple(spans if answer else ()))

    def line(self, answer: dict[str, object]) -> str:
        """Formats an answer: question, answer, probability, and what was not read, if anything."""
        said = answer["answer"] or "(the text does not say)"
        left_out = answer.get("question_tokens_left_out")
        note = f"  (the question's last {left_out} tokens were left out)" if left_out else ""
        return f"{answer['question']}  {said}  {answer['probability']:.3f}{note}"


def predictor(finder: Finder) -> QuestionPredictor:
    """Returns the predictor of a reader.

    Args:
        finder: the reader.
    """
    return QuestionPredictor(finder)
