"""Translation: an encoder-decoder's loss, BLEU of its translations on a schedule, and translations
to look at.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.bounds import PositiveInt
from dlcore.data.sets import pairs
from dlcore.data.sets.pairs import PairRows
from dlcore.data.source import Arrays, Source, arrays
from dlcore.data.tokens import Subwords
from dlcore.errors import UsageError
from dlcore.metrics.known import Metric
from dlcore.metrics.text import bleu
from dlcore.models.beam import Step, beam_search
from dlcore.samples import Sample, Table
from dlcore.tasks import language_modelling
from dlcore.train.evaluators import Collected, Evaluator, Schedule
from dlcore.train.predictor import Answer
from dlcore.train.step import Batch, Params, State

# (params, source [batch, length], its mask, beams, length) -> (step, its first state)
Begin = Callable[[Any, Array, Array, int, int], tuple[Step, Any]]

loss = language_modelling.loss
BLEU = {name: Metric("higher") for name in ("bleu", "bleu_lowercase")}
GREEDY = {"bleu_greedy": Metric("higher")}


def inputs(batch: Batch, key: Array | None, train: bool) -> tuple[Array, ...]:
    """What an encoder-decoder reads of packed rows: `source`, `source_pair`, `tokens` and
    `pair`.
    """
    return batch["source"], batch["source_pair"], batch["tokens"], batch["pair"]


@dataclasses.dataclass(frozen=True)
class Translator:
    """Beam search with a trained encoder-decoder.

    Attributes:
        begin: what `beam_search` needs to translate.
        tokenizer: of both languages.
        longest: tokens of the longest source sentence; a translation has at most half as many more.
        beams: hypotheses that are kept.
        penalty: the exponent of the length penalty (Wu et al. 2016, eq. 14).
        name: of the model in the state.
    """

    begin: Begin
    tokenizer: Subwords
    longest: int
    beams: int
    penalty: float
    name: str = "net"

    def search(self, params: Params, source: Array, beams: int) -> Array:
        """The best translations, int32 [batch, 3/2 longest], of padded sources int32 [batch,
        longest].
        """
        length = self.longest * 3 // 2
        step, state = self.begin(params[self.name], source, source != pairs.PAD, beams, length)
        first = jnp.full(len(source), pairs.START, jnp.int32)
        found, _ = beam_search(
            step, state, first, beams=beams, length=length, end=pairs.END, penalty=self.penalty
        )
        return found[:, 0]

    def translate(self, params: Params, texts: Sequence[str]) -> list[str]:
        """The best translation of each text, in one batch. Raises ValueError for one longer than
        `longest`.
        """
        source = pairs.padded(pairs.encoded(self.tokenizer, texts), self.longest)
        return self.decoded(np.asarray(self._compiled(params, source)))

    @functools.cached_property
    def _compiled(self) -> Any:
        return jax.jit(lambda params, source: self.search(params, source, self.beams))

    def decoded(self, tokens: np.ndarray) -> list[str]:
        """The texts of translations [N, length]."""
        return [self.tokenizer.decode(each).strip() for each in tokens]

    def sentences(self, rows: PairRows) -> Arrays:
        """The sentences of a split for `search`: `source` int32 [N, longest] and `number`, the
        place in `rows.source_texts`.

        They are ordered by length: a batch takes as long as its longest sentence.
        """
        encoded = pairs.encoded(self.tokenizer, rows.source_texts)
        order = np.array(sorted(range(len(encoded)), key=lambda i: len(encoded[i])), np.int32)
        source = pairs.padded([encoded[i] for i in order], self.longest)
        info = rows.info
        return arrays(
            f"{info.name} sentences", info.version, info.split, {"source": source, "number": order}
        )


@dataclasses.dataclass(frozen=True, eq=False)
class BleuEvaluator:
    """BLEU of translations by beam search (runs as an `Evaluator`, train/evaluators.py).

    Attributes:
        translator: how sentences are translated.
        rows: {split: its packed rows, with the sentences as text}; read when the evaluator first
        runs. beams: hypotheses that are kept; 1 is the greedy translation.
        metrics: "bleu", "bleu_lowercase" or "bleu_greedy", the metrics that are measured.
        every: when it runs.
    """

    translator: Translator
    rows: Mapping[str, PairRows]
    beams: int
    metrics: Mapping[str, Metric]
    every: Schedule

    @functools.cached_property
    def sources(self) -> dict[str, Source | None]:
        """The sentences of each split."""
        return {split: self.translator.sentences(rows) for split, rows in self.rows.items()}

    def collect(self, state: State, batch: Batch) -> dict[str, Array]:
        """The translations of a batch of sentences."""
        found = self.translator.search(state.params, batch["source"], self.beams)
        return {"tokens": found, "number": batch["number"]}

    def score(self, state: State, collected: Collected, split: str) -> dict[str, float]:
        """BLEU of the translations against the references of a split."""
        texts = self.translator.decoded(collected["tokens"])
        references = [self.rows[split].target_texts[i] for i in collected["number"]]
        return {
            name: bleu(texts, references, lowercase=name == "bleu_lowercase")[0]
            for name in self.metrics
        }


def evaluators(translator: Translator, validation: PairRows, test: PairRows) -> list[Evaluator]:
    """BLEU of the greedy translations of validation at every evaluation; of those of the beam, of
    both splits, at the end.
    """
    return [
        BleuEvaluator(translator, {"validation": validation}, 1, GREEDY, "eval"),
        BleuEvaluator(translator, {"test": test}, 1, GREEDY, "end"),
        BleuEvaluator(
            translator, {"validation": validation, "test": test}, translator.beams, BLEU, "end"
        ),
    ]


def samples(
    translator: Translator, rows: PairRows, count: int = 10
) -> Callable[[State, Array], list[Sample]]:
    """The first sentences of a split with references and translations, and how BLEU was
    measured.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        source, target = rows.source_texts[:count], rows.target_texts[:count]
        translations = translator.translate(state.params, source)
        head = ("source", "reference", "translation")
        signatures = [(name, bleu(["a"], ["a"], lowercase=name != "bleu")[1]) for name in BLEU]
        return [
            Table(
                f"Sentences of {rows.info.split}, {translator.beams} beams",
                head,
                tuple(zip(source, target, translations, strict=True)),
            ),
            Table(
                "sacreBLEU's signatures, on plain text without tokenisation of ours",
                ("metric", "signature"),
                tuple(signatures),
            ),
        ]

    return draw


@dataclasses.dataclass(frozen=True)
class TranslationOptions:
    """Flags of `dlcore predict` for a translator."""

    beams: PositiveInt = 5
    """hypotheses that are kept; 1 is the greedy translation"""


@dataclasses.dataclass(frozen=True)
class TranslationPredictor:
    """Translations of sentences, a line each, by beam search."""

    translator: Translator
    options: TranslationOptions
    reads = "lines"

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[str]:
        """The sentences. UsageError: one of more tokens than the model translates."""
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
        """For each sentence {"source", "translation"}."""
        found = self._translator.translate(state.params, items)
        head = ("source", "translation")
        return [
            (dict(zip(head, pair, strict=True)), Table("Translated", head, (pair,)))
            for pair in zip(items, found, strict=True)
        ]

    def line(self, answer: Mapping[str, Any]) -> str:
        """The translation."""
        return str(answer["translation"])

    @functools.cached_property
    def _translator(self) -> Translator:
        return dataclasses.replace(self.translator, beams=self.options.beams)


def predictor(translator: Translator) -> TranslationPredictor:
    """The translations of lines of text, with as many beams as the evaluation has."""
    return TranslationPredictor(translator, TranslationOptions(translator.beams))
