"""The table of masked tokens shows what was masked, what was there, and the best guess."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.data.sets.sentences import SPECIALS
from dlcore.data.source import arrays
from dlcore.data.tokens import bpe
from dlcore.tasks import masked_modelling
from dlcore.tasks.masked_modelling import ORDINARY
from dlcore.train.step import State

TOKENS = bpe(["one two three four five six seven eight"] * 3, 270, SPECIALS)
MASK = TOKENS.special("[mask]")
TEXT = TOKENS.encode("one two three four five six")


@pytest.mark.slow
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


def batch_of(texts: np.ndarray) -> Any:
    rows = jnp.arange(len(texts))
    return {"tokens": jnp.asarray(texts), "row": rows, "mask": jnp.ones(len(texts))}


@pytest.mark.slow
def test_ordinary_tokens_alone_are_masked_as_many_as_the_fraction_says() -> None:
    pad = TOKENS.special("[pad]")
    texts = np.stack([TEXT, np.where(np.arange(len(TEXT)) < len(TEXT) - 2, TEXT, pad)])
    masked = masked_modelling.mask(TOKENS, 0.5, len(TEXT))
    corrupted, positions = map(np.asarray, masked(batch_of(texts), jax.random.key(1)))
    assert positions.shape == (2, round(0.5 * len(TEXT)))
    assert all(len(set(each)) == len(each) for each in positions.tolist())
    changed = np.argwhere(corrupted != texts)
    assert len(changed)
    for text, position in changed.tolist():
        assert position in positions[text]
        assert texts[text, position] != pad
    none = masked_modelling.mask(TOKENS, 0.0, len(TEXT))
    assert none(batch_of(texts), jax.random.key(1))[1].shape == (2, 1), "at least one is predicted"


@pytest.mark.slow
def test_the_loss_of_equal_logits_is_the_logarithm_of_their_number_and_padding_counts_nothing() -> (
    None
):
    pad = TOKENS.special("[pad]")
    texts = np.stack([TEXT, np.full_like(TEXT, pad)])
    masked = masked_modelling.mask(TOKENS, 0.4, len(TEXT))
    count = round(0.4 * len(TEXT))

    def model(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
        x, positions = masked_modelling.inputs(masked)(batch, key, train)
        assert x.shape == batch["tokens"].shape
        return jnp.zeros((*positions.shape, len(TOKENS))), extra

    out = masked_modelling.loss(model, masked)({}, {}, batch_of(texts), jax.random.key(2), True)
    assert float(out.loss.weight) == count
    np.testing.assert_allclose(float(out.loss.total) / count, np.log(len(TOKENS)), rtol=1e-6)
    assert float(out.metrics["accuracy"].weight) == count


@pytest.mark.slow
@pytest.mark.parametrize(("shift", "nats", "right"), [(0, np.log(4 / 3), 1.0), (1, None, 0.0)])
def test_the_targets_are_the_tokens_at_the_masked_positions(
    shift: int, nats: float | None, right: float
) -> None:
    masked, size = masked_modelling.mask(TOKENS, 0.4, len(TEXT)), len(TOKENS)

    def model(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
        """Probability 3/4 of the true token, or of that of the next masked position."""
        positions = jnp.roll(masked(batch, key)[1], shift, 1)
        true = jnp.take_along_axis(batch["tokens"], positions, 1)
        return jax.nn.one_hot(true, size) * jnp.log(3.0 * (size - 1)), extra

    batch = batch_of(np.arange(ORDINARY, ORDINARY + len(TEXT))[None])
    out = masked_modelling.loss(model, masked)({}, {}, batch, jax.random.key(2), True)
    accuracy = out.metrics["accuracy"]
    assert float(accuracy.total / accuracy.weight) == right
    wrong = -np.log(1 / 4 / (size - 1))
    found = float(out.loss.total / out.loss.weight)
    assert found == pytest.approx(wrong if nats is None else nats, rel=1e-5)


def test_at_initialisation_one_position_is_enough() -> None:
    masked = masked_modelling.mask(TOKENS, 0.4, len(TEXT))
    x, positions = masked_modelling.inputs(masked)(batch_of(TEXT[None]), None, False)
    np.testing.assert_array_equal(x, TEXT[None])
    assert positions.shape == (1, 1)
