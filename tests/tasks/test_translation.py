"""Translations of a whole split come back whole, and are scored against its own references."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sacrebleu

from dlcore import sharding
from dlcore.data.sets import pair_rows, pairs
from dlcore.data.sets.pair_rows import PairRows
from dlcore.tasks import translation
from dlcore.tasks.translation import Translator
from dlcore.train.evaluators import Collector
from dlcore.train.step import State

CORPUS = pairs.synthetic(sizes=(300, 11, 7))
TOKENS = pairs.joined(CORPUS, 300)
HELD_OUT = [*CORPUS.source["validation"], *CORPUS.source["test"]]
LONGEST = max(map(len, pair_rows.encoded(TOKENS, HELD_OUT)))


def copier(params: Any, source: jax.Array, mask: jax.Array, beams: int, length: int) -> Any:
    """A model that repeats its source with confidence."""

    def step(
        tokens: jax.Array, state: jax.Array, position: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        now = jnp.take(
            jnp.pad(source, ((0, 0), (0, length)), constant_values=pair_rows.PAD), position, axis=1
        )
        target = jnp.where(now == pair_rows.PAD, pair_rows.END, now)
        logits = params * jax.nn.one_hot(target, len(TOKENS))[:, None]
        return jnp.broadcast_to(logits, (*tokens.shape, len(TOKENS))), state

    return step, jnp.zeros((len(source), beams))


TRANSLATOR = Translator(copier, TOKENS, LONGEST, beams=2, penalty=1.0)
STATE = State(jnp.zeros((), jnp.int32), {"net": jnp.array(20.0)}, {}, {})


def rows(split: str) -> PairRows:
    packed = pair_rows.packed(CORPUS, TOKENS, split, 32)
    return PairRows(
        packed.arrays, packed.info, tuple(CORPUS.source[split]), tuple(CORPUS.target[split])
    )


@pytest.mark.slow
def test_a_text_comes_back_whole_and_one_that_is_too_long_is_refused() -> None:
    assert (
        TRANSLATOR.translate(STATE.params, CORPUS.source["validation"])
        == CORPUS.source["validation"]
    )
    with pytest.raises(ValueError, match="does not fit"):
        TRANSLATOR.translate(STATE.params, ["far longer than anything in validation and test " * 9])


@pytest.mark.slow
@pytest.mark.parametrize("batch", [4, 16])
def test_bleu_is_of_each_split_against_its_own_references(batch: int) -> None:
    collector = Collector(sharding.layout("jit", "", jax.devices()[:1]), batch)
    measured: dict[str, dict[str, float]] = {"validation": {}, "test": {}}
    evaluators = translation.evaluators(TRANSLATOR, rows("validation"), rows("test"))
    assert [each.every for each in evaluators] == [
        "eval",
        "end",
        "end",
    ], "the beam is searched once, at the end"
    for each in evaluators:
        for split in each.sources:
            measured[split] |= collector(each, STATE, split)
    for split, metrics in measured.items():
        expected = sacrebleu.corpus_bleu(CORPUS.source[split], [CORPUS.target[split]]).score
        assert metrics == {
            name: pytest.approx(expected) for name in ("bleu", "bleu_lowercase", "bleu_greedy")
        }


def test_sentences_are_ordered_by_length_and_know_their_place() -> None:
    ordered = TRANSLATOR.sentences(rows("test")).arrays
    lengths = (ordered["source"] != pair_rows.PAD).sum(1)
    assert (np.diff(lengths) >= 0).all()
    assert sorted(ordered["number"]) == list(range(7))
    texts = TRANSLATOR.decoded(ordered["source"])
    assert texts == [CORPUS.source["test"][i] for i in ordered["number"]]


@pytest.mark.slow
def test_samples_show_source_reference_and_translation_and_how_it_is_scored() -> None:
    shown, signatures = translation.samples(TRANSLATOR, rows("test"), 3)(STATE, jax.random.key(0))
    sentences = zip(CORPUS.source["test"][:3], CORPUS.target["test"][:3], strict=True)
    assert [row[:2] for row in shown.rows] == list(sentences)
    assert [row[2] for row in shown.rows] == CORPUS.source["test"][:3]
    assert [str(row[1]).split("|")[1] for row in signatures.rows] == ["case:mixed", "case:lc"]
