"""Beam search against every sequence there is, against greedy loops, and on a model of another
family.
"""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.models.beam import beam_search
from dlcore.models.gpt import GPT, Size, empty_cache
from tests.models.compiled import apply, init

pytestmark = pytest.mark.slow

VOCABULARY, WIDTH, END, LENGTH = 3, 5, 0, 4
DRAWN = np.random.default_rng(3)
EMBED, MIX, OUT = (
    DRAWN.normal(size=shape).astype(np.float32) * 2
    for shape in ((3, WIDTH), (WIDTH, WIDTH), (WIDTH, VOCABULARY))
)
FIRST = np.array([0, 1, 2, 1])
# rows that start alike go on otherwise
MOOD = DRAWN.normal(size=(len(FIRST), WIDTH)).astype(np.float32)


def step(tokens: jax.Array, state: jax.Array, position: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A recurrent net of random weights, whose state holds all that came before."""
    state = jnp.tanh(state @ MIX + jnp.asarray(EMBED)[tokens])
    return state @ OUT, state


def search(beams: int, penalty: float = 1.0, length: int = LENGTH) -> tuple[np.ndarray, np.ndarray]:
    """Tokens and scores of a compiled search."""

    @jax.jit
    def run() -> Any:
        state = jnp.tile(jnp.asarray(MOOD)[:, None], (1, beams, 1))
        return beam_search(
            step, state, jnp.asarray(FIRST), beams=beams, length=length, end=END, penalty=penalty
        )

    tokens, scores = run()
    return np.asarray(tokens), np.asarray(scores)


def total(row: int, text: tuple[int, ...]) -> float:
    """The log-probability of a text after the first token of a row, in float64."""
    state, last, sum_ = MOOD[row].astype(np.float64), FIRST[row], 0.0
    for token in text:
        state = np.tanh(state @ MIX + EMBED[last])
        logits = state @ OUT
        sum_ += logits[token] - np.log(np.exp(logits).sum())
        last = token
    return sum_


def every(row: int, penalty: float) -> list[tuple[float, tuple[int, ...]]]:
    """All texts that end within the length, or fill it: best first."""
    whole = [text for n in range(LENGTH) for text in itertools.product((1, 2), repeat=n)]
    texts = [(*text, END) for text in whole] + list(itertools.product((1, 2), repeat=LENGTH))
    return sorted(((total(row, t) / ((5 + len(t)) / 6) ** penalty, t) for t in texts), reverse=True)


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_with_room_for_all_the_search_finds_every_text_in_order(penalty: float) -> None:
    beams = 40  # there are 31 texts
    tokens, scores = search(beams, penalty)
    for row in range(len(FIRST)):
        expected = every(row, penalty)
        np.testing.assert_allclose(
            scores[row, : len(expected)], [score for score, _ in expected], rtol=1e-5
        )
        assert np.isneginf(scores[row, len(expected) :]).all()
        found = [tuple(int(t) for t in text) for text in tokens[row, : len(expected)]]
        assert found == [(*text, *[END] * (LENGTH - len(text))) for _, text in expected]


def test_in_float64_the_search_is_exact() -> None:
    """Scores to 12 digits; first tokens of 64 bits, as NumPy has them."""
    with jax.enable_x64(True):
        mood, embed, mix, out = (jnp.asarray(x, jnp.float64) for x in (MOOD, EMBED, MIX, OUT))

        def decode_step(
            tokens: jax.Array, state: jax.Array, position: jax.Array
        ) -> tuple[jax.Array, jax.Array]:
            state = jnp.tanh(state @ mix + embed[tokens])
            return state @ out, state

        state = jnp.tile(mood[:, None], (1, 31, 1))
        run = jax.jit(
            lambda state, first: beam_search(
                decode_step, state, first, beams=31, length=LENGTH, end=END
            )
        )
        tokens, scores = run(state, jnp.asarray(FIRST, jnp.int64))
        assert (tokens.dtype, scores.dtype) == (jnp.int32, jnp.float64)
        for row in range(len(FIRST)):
            np.testing.assert_allclose(
                scores[row], [score for score, _ in every(row, 1.0)], rtol=1e-12
            )


def greedy(row: int, length: int) -> list[int]:
    """The likeliest token again and again, until one is END."""
    text: list[int] = []
    while len(text) < length and END not in text:
        text.append(max(range(VOCABULARY), key=lambda token: total(row, (*text, token))))
    return text + [END] * (length - len(text))


def test_one_beam_is_the_greedy_choice() -> None:
    for length in (1, 3, 9):
        tokens, scores = search(1, length=length)
        assert tokens[:, 0].tolist() == [greedy(row, length) for row in range(len(FIRST))]
        assert np.isfinite(scores).all()


@pytest.mark.parametrize("beams", [2, 3, 5])
def test_scores_are_those_of_the_texts_and_fall(beams: int) -> None:
    tokens, scores = search(beams)
    assert (np.diff(scores, axis=1) <= 0).all()
    for row, beam in itertools.product(range(len(FIRST)), range(beams)):
        text = [int(t) for t in tokens[row, beam]]
        text = text[: text.index(END) + 1] if END in text else text
        assert scores[row, beam] == pytest.approx(
            total(row, tuple(text)) / ((5 + len(text)) / 6), rel=1e-4
        )


def test_rows_do_not_meet() -> None:
    tokens, scores = search(3)
    for row in range(len(FIRST)):
        state = jnp.tile(jnp.asarray(MOOD)[row : row + 1, None], (1, 3, 1))
        alone = beam_search(
            step, state, jnp.asarray(FIRST)[row : row + 1], beams=3, length=LENGTH, end=END
        )
        np.testing.assert_array_equal(alone[0][0], tokens[row])
        np.testing.assert_allclose(alone[1][0], scores[row], rtol=1e-5)


def test_a_language_model_searches_with_its_own_cache() -> None:
    """Two beams of a GPT over a cache, against whole forward passes without one."""
    size = Size(vocabulary=7, context=6, layers=1, heads=2, width=8, rotary=True)
    net = GPT(size)
    params = jax.tree.map(
        lambda p: p * 20, init(net, jax.random.key(1), jnp.zeros((1, 1), jnp.int32))["params"]
    )
    first = jnp.array([1, 4])

    def grow(tokens: jax.Array, cache: Any, position: jax.Array) -> tuple[jax.Array, Any]:
        rows = lambda x: x.reshape(-1, *x.shape[2:])  # noqa: E731
        logits, after = apply(
            net,
            {"params": params},
            tokens.reshape(-1, 1),
            cache=jax.tree.map(rows, cache),
            position=position,
        )
        return logits.reshape(*tokens.shape, -1), jax.tree.map(
            lambda x, like: x.reshape(like.shape), after, cache
        )

    cache = jax.tree.map(lambda x: x.reshape(2, 2, *x.shape[1:]), empty_cache(size, 4, jnp.float32))
    tokens, scores = jax.jit(
        lambda: beam_search(grow, cache, first, beams=2, length=5, end=0, penalty=0.0)
    )()
    for row in range(2):
        beams = [(0.0, [int(first[row])])]
        ended: list[tuple[float, list[int]]] = []
        for _ in range(5):
            if len(ended) >= 2:
                break
            texts = jnp.asarray([text for _, text in beams])
            logp = jax.nn.log_softmax(apply(net, {"params": params}, texts)[:, -1])
            grown = [
                (s + float(logp[b, t]), [*text, t])
                for b, (s, text) in enumerate(beams)
                for t in range(7)
            ]
            grown = sorted(grown, reverse=True)[:4]
            ended += [each for each in grown[:2] if each[1][-1] == 0]
            beams = [each for each in grown if each[1][-1] != 0][:2]
        best = max(ended + (beams if len(ended) < 2 else []))
        assert scores[row, 0] == pytest.approx(best[0], rel=1e-4)
        assert tokens[row, 0].tolist() == (best[1][1:] + [0] * 5)[:5]


@pytest.mark.parametrize(("beams", "length"), [(0, 3), (2, 0)])
def test_a_search_without_room_is_refused(beams: int, length: int) -> None:
    with pytest.raises(ValueError, match="at least one beam and one token"):
        beam_search(
            step,
            jnp.asarray(MOOD)[:, None],
            jnp.asarray(FIRST),
            beams=beams,
            length=length,
            end=END,
        )
