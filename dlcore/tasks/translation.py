"""Translation: what every encoder-decoder trains on, and its translations, searched for, scored and shown."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax
from jax import Array

from dlcore.data.sets import pairs
from dlcore.data.tokens import Pieces
from dlcore.metrics.known import Metric
from dlcore.metrics.text import bleu
from dlcore.models.apply import apply
from dlcore.models.beam import Step, beam_search
from dlcore.samples import Table
from dlcore.sharding import Rules
from dlcore.tasks.language_modelling import next_token
from dlcore.train.experiment import Experiment, Published, Results
from dlcore.train.step import Objective

# (params, source [batch, length], its mask, beams, length) -> (step, its first state)
Begin = Callable[[Any, Array, Array, int, int], tuple[Step, Any]]


@dataclasses.dataclass(frozen=True)
class Translator:
    """Beam search with `begin` over a corpus, `batch` sentences at a time; up to half as many pieces again as the longest has."""

    corpus: pairs.Corpus
    pieces: Pieces
    begin: Begin
    beams: int
    penalty: float
    batch: int = 50

    def translate(self, params: Any, texts: Sequence[str], beams: int) -> list[str]:
        """The best translation of each text. Raises ValueError for one longer than all of validation and test; none is cut."""
        sentences = pairs.encoded(self.pieces, texts)
        order = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))  # a batch is over when its last sentence is
        out = [""] * len(texts)
        for at in range(0, len(order), self.batch):
            part = order[at : at + self.batch]
            rows = [sentences[i] for i in part] + [sentences[part[0]]] * (self.batch - len(part))
            found = np.asarray(self._search(beams, self._longest * 3 // 2, params, pairs.padded(rows, self._longest)))
            for i, tokens in zip(part, found, strict=False):
                out[i] = self.pieces.decode(tokens).strip()
        return out

    @functools.cached_property
    def _longest(self) -> int:
        """One length for all, so that one program serves them."""
        texts = [text for split in ("validation", "test") for text in self.corpus.source[split]]
        return max(map(len, pairs.encoded(self.pieces, texts)))

    @functools.cached_property
    def _search(self) -> Any:
        def search(beams: int, length: int, params: Any, source: Array) -> Array:
            step, state = self.begin(params, source, source != pairs.PAD, beams, length)
            first = jax.numpy.full(len(source), pairs.START, jax.numpy.int32)
            found, _ = beam_search(step, state, first, beams=beams, length=length, end=pairs.END, penalty=self.penalty)
            return found[:, 0]

        return jax.jit(search, static_argnums=(0, 1))

    def evaluate(self, params: Any) -> Results:
        """BLEU on validation and test with beams, letters as they are and in lower case, and of the greedy choice."""
        results = {}
        for split in ("validation", "test"):
            source, target = self.corpus.source[split], self.corpus.target[split]
            best, greedy = (self.translate(params, source, beams) for beams in (self.beams, 1))
            results[split] = {
                "bleu": bleu(best, target)[0],
                "bleu_lowercase": bleu(best, target, lowercase=True)[0],
                "bleu_greedy": bleu(greedy, target)[0],
            }
        return results

    def samples(self, params: Any, count: int = 10) -> list[Table]:
        """The first test sentences with their references and translations, and how BLEU was measured."""
        source, target = (side["test"][:count] for side in (self.corpus.source, self.corpus.target))
        rows = tuple(zip(source, target, self.translate(params, source, self.beams), strict=True))
        signatures = [(name, bleu(["a"], ["a"], lowercase=low)[1]) for name, low in (("bleu", False), ("bleu_lowercase", True))]
        return [
            Table(f"Test sentences, {self.beams} beams", ("source", "reference", "translation"), rows),
            Table(
                "sacreBLEU's signatures, on plain text without tokenisation of ours", ("metric", "signature"), tuple(signatures)
            ),
        ]


def translation(
    net: nn.Module,
    translator: Translator,
    optimizer: optax.GradientTransformation,
    *,
    batch: int,
    steps: int,
    row: int,
    longest: int,
    smoothing: float,
    published: float | None,
    tensor: Rules = (),
) -> Experiment:
    """An encoder-decoder trained by next pieces on rows of `row` pieces, sentences of at most `longest` packed into them (0: all).

    net (source, source_pair, tokens, pair) -> logits [batch, row, pieces]. `published`: BLEU in lower case, of Multi30k.
    """
    parts = ("source", "source_pair", "tokens", "pair")

    def logits(params: Any, extra: Any, batch: Any, key: Array | None, train: bool) -> Any:
        return apply(net, "net", params, extra, *(batch[part] for part in parts), key=key, train=train, row=batch["row"])

    packed = functools.partial(pairs.packed, translator.corpus, translator.pieces)
    source = "bentrevett/pytorch-seq2seq, GRU with attention; lower case, spaCy's tokens"
    return Experiment(
        train=packed("train", row, longest),
        batch=batch,
        steps=steps,
        init={"net": lambda key, batch: net.init(key, *(batch[part] for part in parts))},
        objectives={"net": Objective(next_token(logits, smoothing), optimizer)},
        eval={split: packed(split, row) for split in ("validation", "test")},
        evaluate=lambda state: translator.evaluate(state.params["net"]),
        sample=lambda state, key: translator.samples(state.params["net"]),
        metrics=dict.fromkeys(("bleu_lowercase", "bleu_greedy"), Metric("higher")),
        published=None if published is None else Published("bleu_lowercase", published, source),
        tensor=tensor,
    )
