"""Translations of a user's own lines of text."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

from dlcore.bounds import PositiveInt
from dlcore.data.own import files as own_files
from dlcore.data.own import pairs as own
from dlcore.data.sets import pair_rows
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
        column: of pairs of sentences, the side that is translated.
    """

    translator: Translator
    options: TranslationOptions
    column: str = "source"
    reads = "lines"

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[str]:
        """Returns the strings of `text`, after a check of their lengths; `files` is not used.

        Raises:
            UsageError: a sentence has more tokens than the model translates.
        """
        longest = self.translator.longest
        for each in text:
            count = len(pair_rows.encoded(self.translator.tokenizer, [each])[0])
            if count > longest:
                raise UsageError(
                    f"a sentence of {count} tokens, and this model translates at most {longest}:"
                    " split it"
                )
        return list(text)

    def in_file(self, file: Path, problems: list[str]) -> list[tuple[int, object]] | None:
        """Reads the pairs that training takes without a header, a .tsv file of two columns.

        Args:
            file: lines of text, a table whose first line names `column`, or such pairs.
            problems: a message is appended for each line that is no pair.

        Returns:
            (line number, sentence) of each pair; None for other files.

        Raises:
            UsageError: the file cannot be read or is not UTF-8.
        """
        if file.suffix.lower() != ".tsv":
            return None
        first = next(iter(own_files.lines(file)), "").split("\t")
        if len(first) != len(own.SIDES) or self.column in first:
            return None
        found, side = own.find(file), own.SIDES.index(self.column)
        problems += found.problems
        examples = found.splits.get("train", [])
        return [(int(e.where.rpartition(" ")[2]), e.values[side]) for e in examples]

    def item(self, value: object) -> str:
        """Returns a sentence, after a check of its length.

        Raises:
            UsageError: it is no string, or has more tokens than the model translates.
        """
        if not isinstance(value, str):
            raise UsageError(f"this model takes text, and no {type(value).__name__}")
        return self.items((), [value])[0]

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


def predictor(translator: Translator, reverse: bool = False) -> TranslationPredictor:
    """Returns the predictor of a translator, with as many beams as the evaluation has.

    Args:
        translator: translates the sentences.
        reverse: whether it translates from the second side of pairs, "target", to the first.
    """
    return TranslationPredictor(
        translator, TranslationOptions(translator.beams), own.SIDES[reverse]
    )
