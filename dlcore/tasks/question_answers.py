"""Answers to a user's questions on texts, as marked spans of the text."""

from __future__ import annotations

import dataclasses
import functools
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
from dlcore.errors import UsageError
from dlcore.samples import Part, PartWriter, Span
from dlcore.tasks.questions import Found, collect, combined
from dlcore.train.model import Logits
from dlcore.train.predictor import Answer
from dlcore.train.step import State

ROWS = 16  # windows of one program


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


@dataclasses.dataclass(frozen=True)
class QuestionOptions:
    """Holds the flags of `dlcore predict` for a model that finds answers to questions in texts."""

    question: str = ""
    """a question for every text: files, --text and standard input then are plain texts"""
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

    @property
    def reads(self) -> str:
        """ "texts" where the option `question` is set, else "table", see `Predictor`."""
        return "texts" if self.options.question else "table"

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[Question | UsageError]:
        """Reads questions and their contexts from files, then from strings.

        Args:
            files: .json files in SQuAD's format; other files of JSON lines
                {"question": ..., "context": ...}. Other keys are ignored. With the option
                `question` plain texts, the contexts of that question.
            text: strings of one or more such lines, or with `question` plain texts.

        Returns:
            The questions, and in place of one that cannot be read a UsageError that names its line.

        Raises:
            UsageError: a file cannot be read or is not in SQuAD's format.
        """
        found = own.unanswered(files, text, self.options.question)
        return [each if isinstance(each, UsageError) else Question(*each) for each in found]

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
