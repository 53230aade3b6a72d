"""Predictions of classifiers of texts."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dlcore.data import tokenizer
from dlcore.data.facts import Facts
from dlcore.data.sets import sentences
from dlcore.data.tokens import Subwords
from dlcore.samples import Table
from dlcore.tasks.class_answers import ClassAnswer, ClassOptions, answer_of, line_of
from dlcore.tasks.classification import softmax_of
from dlcore.train.model import Logits
from dlcore.train.predictor import Answer
from dlcore.train.step import State


@dataclasses.dataclass(frozen=True)
class TextPredictor:
    """Classes of texts, with their probabilities.

    Attributes:
        model: gives logits [batch, classes] of `tokens` int32 [batch, length].
        facts: of the training data: `classes`, `tokenizer`, and the `length` of a row. A longer
            text is cut there, as in training.
    """

    model: Logits
    facts: Facts
    options: ClassOptions = dataclasses.field(default_factory=ClassOptions)
    reads = "lines"

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[str]:
        """The texts."""
        return list(text)

    def batch(self, state: State, items: Sequence[str]) -> list[Answer]:
        """For each text {"text", "class", "probability", "classes": {name: probability}}."""
        tokens = sentences.padded(self._tokenizer, items, self.facts.length)
        batch = {"tokens": tokens, "row": np.arange(len(items), dtype=np.int32)}
        p = np.asarray(softmax_of(self.model)(state.params, state.extra, batch))
        answers: list[Answer] = []
        for text, each in zip(items, p, strict=True):
            found = answer_of(each, self.facts.classes, self.options.top)
            rows = tuple(found["classes"].items())
            answers.append(({"text": text, **found}, Table(text, ("class", "probability"), rows)))
        return answers

    def line(self, answer: ClassAnswer) -> str:
        """The likeliest class first."""
        return line_of(answer)

    @functools.cached_property
    def _tokenizer(self) -> Subwords:
        return tokenizer.from_facts(self.facts.tokenizer)


def predictor(model: Logits, facts: Facts) -> TextPredictor:
    """The classes that a classifier of texts gives to lines of text."""
    return TextPredictor(model, facts)
