"""Translations of a whole corpus come back in its order, and are scored as they are."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import pytest
import sacrebleu

from dlcore.data.sets import pairs
from dlcore.tasks.translation import Translator

CORPUS = pairs.made_up(sizes=(300, 11, 7))
PIECES = pairs.joined(CORPUS, 300)


def copier(params: Any, source: jax.Array, mask: jax.Array, beams: int, length: int) -> Any:
    """A model that says its source again, and is sure of it."""

    def step(tokens: jax.Array, state: jax.Array, position: jax.Array) -> tuple[jax.Array, jax.Array]:
        now = jnp.take(jnp.pad(source, ((0, 0), (0, length)), constant_values=pairs.PAD), position, axis=1)
        wanted = jnp.where(now == pairs.PAD, pairs.END, now)
        return params * jnp.broadcast_to(jax.nn.one_hot(wanted, len(PIECES))[:, None], (*tokens.shape, len(PIECES))), state

    return step, jnp.zeros((len(source), beams))


TRANSLATOR = Translator(CORPUS, PIECES, copier, beams=2, penalty=1.0, batch=4)


def test_translations_come_back_in_order_whole_and_of_every_text() -> None:
    for beams in (1, 2):
        assert TRANSLATOR.translate(20.0, CORPUS.source["validation"], beams) == CORPUS.source["validation"]
    with pytest.raises(ValueError, match="does not fit"):
        TRANSLATOR.translate(20.0, ["far longer than anything in validation and test " * 9], 1)


def test_scores_are_of_each_split_against_its_own_references() -> None:
    expected = {
        split: sacrebleu.corpus_bleu(CORPUS.source[split], [CORPUS.target[split]]).score for split in ("validation", "test")
    }
    for split, told in TRANSLATOR.evaluate(20.0).items():
        assert told == {name: pytest.approx(expected[split]) for name in ("bleu", "bleu_lowercase", "bleu_greedy")}
    own = dataclasses.replace(TRANSLATOR, corpus=dataclasses.replace(CORPUS, target=CORPUS.source))
    assert own.evaluate(20.0)["test"]["bleu"] == pytest.approx(100)


def test_samples_show_source_reference_and_translation_and_how_it_is_scored() -> None:
    shown, signatures = TRANSLATOR.samples(20.0, 3)
    assert [row[:2] for row in shown.rows] == list(zip(CORPUS.source["test"][:3], CORPUS.target["test"][:3], strict=True))
    assert [row[2] for row in shown.rows] == CORPUS.source["test"][:3]
    assert [str(row[1]).split("|")[1] for row in signatures.rows] == ["case:mixed", "case:lc"]
