"""Translations of a user's own lines of text."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

from dlcore.bounds import PositiveInt
from dlcore.data.sets import pairs
from dlcore.errors import UsageError
from dlcore.samples import Table
from dlcore.tasks.translation import Translator
from dlcore.train.predictor import Answer
from dlcore.train.step import State


@dataclasses.dataclass(frozen=True)
class TranslationOptions:
    """Flags of `dlcore predict` for a translator."""

    beams: PositiveInt = 5
    """hypotheses that are kept; 1 is the greedy translation"""


@dataclasses.dataclass(frozen=True)
class TranslationPredictor:
    """Translates lines of text by beam search.

    Attributes:
        translator: translates the sentences.
        options: flags of `dlcore predict`; their beams are used instead of the translator's.
    """

    translator: Translator
    options: TranslationOptions
    reads = "lines"
    column = "source"

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[str]:
        """Returns the strings of `text`, after a check of their lengths; `files` is not used.

        Raises:
            UsageError: a sentence has more tokens than the model translates.
        """
        longest = self.translator.longest
        for each in text:
            count = len(pairs.encoded(self.translator.tokenizer, [each])[0])
            if count > longest:
                raise UsageError(
                    f"a sentence of {count} tokens, and this model translates at most {longest}:"
                    " split it"
                )
        return list(text)

    def batch(self, state: State, items: Sequence[str]) -> list[Answer]:
        """Answers a batch of sentences.

        Args:
            state: trained parameters.
            items: as `items` returned them.

        Returns:
            ({"source", "translation", "score"}, a table) of each sentence; the score is the sum of
            the tokens' log-probabilities over the length penalty, see `beam_search`.
        """
        found = self._translator.scored(state.params, items)
        head = ("source", "translation")
        return [
            (
                {"source": source, "translation": text, "score": score},
                Table("Translated", head, ((source, text),)),
            )
            for source, (text, score) in zip(items, found, strict=True)
        ]

    def line(self, answer: Mapping[str, object]) -> str:
        """Formats an answer: the translation."""
        return str(answer["translation"])

    @functools.cached_property
    def _translator(self) -> Translator:
        return dataclasses.replace(self.translator, beams=self.options.beams)


def predictor(translator: Translator) -> TranslationPredictor:
    """Returns the predictor of a translator, with as many beams as the evaluation has.

    Args:
        translator: translates the sentences.
    """
    return TranslationPredictor(translator, TranslationOptions(translator.beams))
