"""Predicts the classes of a user's texts, and metrics of intents out of scope."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jax import Array

from dlcore.data import tokenizer
from dlcore.data.facts import Facts
from dlcore.data.sets import sentences
from dlcore.data.tokens import Subwords
from dlcore.samples import Table
from dlcore.tasks.class_answers import ClassAnswer, ClassOptions, answer_of, line_of
from dlcore.tasks.class_probabilities import softmax_of
from dlcore.train.model import Logits
from dlcore.train.predictor import Answer
from dlcore.train.step import Batch, Mean, State, mean


@dataclasses.dataclass(frozen=True)
class TextPredictor:
    """Predicts the classes of texts.

    Attributes:
        model: computes logits [batch, classes] of `tokens`, int32 [batch, length].
        facts: of the training data: `classes`, `tokenizer` and `length`; longer texts are
            truncated, as in training.
        options: flags of `dlcore predict`.
    """

    model: Logits
    facts: Facts
    options: ClassOptions = dataclasses.field(default_factory=ClassOptions)
    reads = "lines"

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[str]:
        """Returns the texts; `files` is not used."""
        return list(text)

    def batch(self, state: State, items: Sequence[str]) -> list[Answer]:
        """Answers a batch of texts.

        Args:
            state: trained parameters.
            items: as `items` returned them.

        Returns:
            ({"text", "class", "probability", "classes": {name: probability}}, a table) of each
            text; "classes" has the `options.top` most likely classes in descending order. Where a
            text was truncated, also "tokens_left_out", the number of its tokens that are not read.
        """
        tokens, left_out = sentences.padded_and_left_out(self._tokenizer, items, self.facts.length)
        batch = {"tokens": tokens, "row": np.arange(len(items), dtype=np.int32)}
        p = np.asarray(softmax_of(self.model)(state.params, state.extra, batch))
        answers: list[Answer] = []
        for text, each, rest in zip(items, p, left_out, strict=True):
            found = answer_of(each, self.facts.classes, self.options.top)
            record: dict[str, object] = {"text": text, **found}
            if rest:
                record["tokens_left_out"] = rest
            rows = tuple(found["classes"].items())
            answers.append((record, Table(text, ("class", "probability"), rows)))
        return answers

    def line(self, answer: ClassAnswer) -> str:
        """Formats an answer: the most likely class first, then what was not read, if anything."""
        left_out = answer.get("tokens_left_out")
        note = f"  (the last {left_out} tokens were left out)" if left_out else ""
        return f"{line_of(answer)}{note}"

    @functools.cached_property
    def _tokenizer(self) -> Subwords:
        return tokenizer.from_facts(self.facts.tokenizer)


def scope_metrics(out_of_scope: int | None) -> Callable[[Array, Batch], Mapping[str, Mean]] | None:
    """Returns the metrics of a classifier of intents with a class for texts out of scope.

    They are `in_scope_accuracy`, on texts that have an intent, and `out_of_scope_recall`, of texts
    that have none, the metrics of Larson et al. 2019 (CLINC150).

    Args:
        out_of_scope: the class of texts that have no intent; None: there is no such class.

    Returns:
        (logits [batch, classes], batch) -> {name: Mean}, for `classification.loss`; None without
        such a class.
    """
    if out_of_scope is None:
        return None

    def by_scope(logits: Array, batch: Batch) -> dict[str, Mean]:
        correct = logits.argmax(-1) == batch["label"]
        outside = batch["label"] == out_of_scope
        scopes = {"in_scope_accuracy": ~outside, "out_of_scope_recall": outside}
        return {name: mean(correct, batch["mask"] * scope) for name, scope in scopes.items()}

    return by_scope


def predictor(model: Logits, facts: Facts) -> TextPredictor:
    """Returns the predictor of a classifier of texts.

    Args:
        model: computes logits [batch, classes].
        facts: of the training data, see `TextPredictor`.
    """
    return TextPredictor(model, facts)
