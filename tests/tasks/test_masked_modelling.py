"""The table of masked tokens shows what was masked, what was there, and the best guess."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.data.sets.sentences import SPECIALS
from dlcore.data.source import arrays
from dlcore.data.tokens import bpe
from dlcore.tasks import masked_modelling
from dlcore.train.step import State

TOKENS = bpe(["one two three four five six seven eight"] * 3, 270, SPECIALS)
MASK = TOKENS.special("[mask]")
TEXT = TOKENS.encode("one two three four five six")


def test_a_row_shows_the_text_around_a_masked_token_and_the_most_probable_guess() -> None:
    source = arrays("made", "1", "validation", {"tokens": np.stack([TEXT, TEXT[::-1].copy()])})
    at = len(TEXT) // 2
    guess = int(TEXT[0])

    def masked(batch: Any, key: Any) -> Any:
        positions = jnp.full((2, 1), at)
        return batch["tokens"].at[:, at].set(MASK), positions

    def model(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
        assert not train
        logits = (
            jnp.zeros((2, 1, len(TOKENS))).at[:, :, guess].set(jnp.log(3.0 * (len(TOKENS) - 1)))
        )
        return logits, extra

    state = State(jnp.zeros((), jnp.int32), {}, {}, {})
    table: Any
    (table,) = masked_modelling.samples(model, masked, source, TOKENS)(state, jax.random.key(0))  # type: ignore[arg-type]
    text, hidden, best, probability = table.rows[0]
    before, after = TOKENS.decode(TEXT[:at]), TOKENS.decode(TEXT[at + 1 :])
    assert text == f"{before} ____{after}"
    assert (hidden, best, probability) == (
        TOKENS.decode(TEXT[at : at + 1]),
        TOKENS.decode(TEXT[:1]),
        0.75,
    )
