"""Translation: the loss of an encoder-decoder, BLEU on a schedule, and translations."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Integer

from dlcore.data.sets import pair_rows
from dlcore.data.sets.pair_rows import PairRows
from dlcore.data.source import Arrays, Source, arrays
from dlcore.data.tokens import Subwords
from dlcore.metrics.known import Metric
from dlcore.metrics.text import bleu
from dlcore.models.beam import Step, beam_search
from dlcore.samples import Sample, Table
from dlcore.sharding import Tree
from dlcore.tasks import language_modelling
from dlcore.train.evaluators import Collected, Evaluator, Schedule
from dlcore.train.step import Batch, Params, State

# (params, source [batch, length], its mask, beams, length) -> (step, its first state)
Begin = Callable[[Tree, Array, Array, int, int], tuple[Step, Tree]]

loss = language_modelling.loss
BLEU = {name: Metric("higher") for name in ("bleu", "bleu_lowercase")}
GREEDY = {"bleu_greedy": Metric("higher")}


def inputs(batch: Batch, key: Array | None, train: bool) -> tuple[Array, ...]:
    """Returns the arrays of packed rows that the network reads; the `inputs` of a `Model`.

    They are `source`, `source_pair` [batch, source length], `tokens` and `pair` [batch, target
    length], int, in this order; the key is not used.
    """
    return batch["source"], batch["source_pair"], batch["tokens"], batch["pair"]


@dataclasses.dataclass(frozen=True)
class Translator:
    """Translates sentences by beam search with a trained encoder-decoder.

    Attributes:
        begin: (params of the model, tokens [batch, longest], mask of the tokens that are no
            padding, beams, largest length of a translation) -> the step of `beam_search` and its
            state before the first step.
        tokenizer: of both languages.
        longest: number of tokens of the longest source sentence. A translation has at most
            3/2 longest tokens.
        beams: number of hypotheses of `translate`.
        penalty: exponent of the length penalty (Wu et al. 2016, eq. 14).
        name: of the model in the state's `params`.
    """

    begin: Begin
    tokenizer: Subwords
    longest: int
    beams: int
    penalty: float
    name: str = "net"

    def search(
        self, params: Params, source: Integer[Array, "batch longest"], beams: int
    ) -> tuple[Integer[Array, "batch length"], Float[Array, " batch"]]:
        """Computes the highest-scoring translation of each sentence by beam search.

        Args:
            params: of all models.
            source: padded tokens, int32 [batch, longest].
            beams: number of hypotheses; 1: greedy decoding.

        Returns:
            Tokens, int32 [batch, 3/2 longest], rounded down, of which the end token fills the
            positions after the translation; and their scores [batch], see `beam_search`.
        """
        length = self.longest * 3 // 2
        step, state = self.begin(params[self.name], source, source != pair_rows.PAD, beams, length)
        first = jnp.full(len(source), pair_rows.START, jnp.int32)
        hypotheses, scores = beam_search(
            step, state, first, beams=beams, length=length, end=pair_rows.END, penalty=self.penalty
        )
        return hypotheses[:, 0], scores[:, 0]

    def translate(self, params: Params, texts: Sequence[str]) -> list[str]:
        """Translates texts in one batch, see `scored`."""
        return [text for text, _ in self.scored(params, texts)]

    def scored(self, params: Params, texts: Sequence[str]) -> list[tuple[str, float]]:
        """Translates texts in one batch, with `beams` hypotheses.

        Args:
            params: of all models.
            texts: in the source language, at least one.

        Returns:
            The highest-scoring translation of each text, and its score, see `search`.

        Raises:
            ValueError: a text has more than `longest` tokens, or there are no texts.
        """
        source = pair_rows.padded(pair_rows.encoded(self.tokenizer, texts), self.longest)
        tokens, scores = self._compiled(params, source)
        found = self.decoded(np.asarray(tokens))
        return list(zip(found, np.asarray(scores).tolist(), strict=True))

    @functools.cached_property
    def _compiled(self) -> Callable[[Params, np.ndarray], tuple[Array, Array]]:
        return jax.jit(lambda params, source: self.search(params, source, self.beams))

    def decoded(self, tokens: Integer[np.ndarray, "n length"]) -> list[str]:
        """Decodes translations, int [N, length], to texts without blanks around them."""
        return [self.tokenizer.decode(each).strip() for each in tokens]

    def sentences(self, rows: PairRows) -> Arrays:
        """Returns the sentences of a split as a source for `search`.

        They are sorted by length, since a batch takes as long as its longest sentence.

        Args:
            rows: packed rows, with their sentences as text.

        Returns:
            `source`, int32 [N, longest], and `number`, int32 [N]: the index in `rows.source_texts`.
        """
        encoded = pair_rows.encoded(self.tokenizer, rows.source_texts)
        order = np.array(sorted(range(len(encoded)), key=lambda i: len(encoded[i])), np.int32)
        source = pair_rows.padded([encoded[i] for i in order], self.longest)
        info = rows.info
        return arrays(
            f"{info.name} sentences", info.version, info.split, {"source": source, "number": order}
        )


@dataclasses.dataclass(frozen=True, eq=False)
class BleuEvaluator:
    """Evaluates BLEU of translations by beam search; an `Evaluator` (train/evaluators.py).

    Attributes:
        translator: translates the sentences.
        rows: {split: packed rows, with their sentences as text}.
        beams: number of hypotheses; 1: greedy decoding.
        metrics: {name: Metric} of those to compute. "bleu_lowercase" ignores case; any other name,
            such as "bleu" or "bleu_greedy", is BLEU with case. All are of `beams` hypotheses.
        every: when it runs, see `Schedule`.
    """

    translator: Translator
    rows: Mapping[str, PairRows]
    beams: int
    metrics: Mapping[str, Metric]
    every: Schedule

    @functools.cached_property
    def sources(self) -> dict[str, Source | None]:
        """Tokenises the sentences of each split, at the first access: {split: sentences}."""
        return {split: self.translator.sentences(rows) for split, rows in self.rows.items()}

    def collect(self, state: State, batch: Batch) -> dict[str, Array]:
        """Translates a batch of `Translator.sentences`: `tokens` [batch, length] and `number`."""
        translations, _ = self.translator.search(state.params, batch["source"], self.beams)
        return {"tokens": translations, "number": batch["number"]}

    def score(self, state: State, collected: Collected, split: str) -> dict[str, float]:
        """Computes {metric: BLEU, 0 to 100} of the translations against a split's references."""
        texts = self.translator.decoded(collected["tokens"])
        references = [self.rows[split].target_texts[i] for i in collected["number"]]
        return {
            name: bleu(texts, references, lowercase=name == "bleu_lowercase")[0]
            for name in self.metrics
        }


def evaluators(translator: Translator, validation: PairRows, test: PairRows) -> list[Evaluator]:
    """Returns evaluators of BLEU by greedy decoding and by beam search, from 0 to 100.

    Metrics: `bleu_greedy`, on validation at each evaluation and on test at the end; `bleu`, and
    `bleu_lowercase` of lower-cased texts, by beam search with `translator.beams` beams, on
    validation and test at the end.

    Args:
        translator: translates the sentences.
        validation, test: packed rows of the splits, with their sentences as text.
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
    """Shows the first sentences of a split with references and translations.

    Args:
        translator: translates the sentences.
        rows: packed rows of the split, with their sentences as text.
        count: number of sentences.

    Returns:
        (state, key) -> a table of sentences, and one of sacreBLEU's signatures of the metrics.
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
                "sacreBLEU's signatures; texts are not tokenised before",
                ("metric", "signature"),
                tuple(signatures),
            ),
        ]

    return draw
