"""Generation in batches: a row is what it is alone, and ends at its own end token."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.models.gpt import Size
from dlcore.models.gpt_batch import GREEDY, Decoding, Generated, generate_batch, left_padded
from dlcore.models.gpt_generation import generate
from dlcore.models.sampling import choose, end_encouraged, penalised
from tests.models.test_gpt import LEARNED, MODERN, forward, params

PROMPTS = [np.array([3, 1, 4]), np.array([5]), np.array([9, 2])]
KEYS = jax.random.split(jax.random.key(0), 3)
DRAWN = Decoding(1.0, 5, 0.9, 0.01, 1.3)


def run(size: Size, rows: list[int], how: Decoding, end: int = -1, length: int = 5) -> Generated:
    """Continues some of the prompts in one batch."""
    tokens, padding = left_padded([PROMPTS[i] for i in rows])
    found = generate_batch(
        size, params(size), tokens, padding, KEYS[jnp.asarray(rows)], length, end, how
    )
    return Generated(*(np.asarray(x) for x in found))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "how"),
    [
        pytest.param(LEARNED, GREEDY, id="learned-greedy"),
        pytest.param(MODERN, DRAWN, id="modern-drawn"),
        pytest.param(LEARNED, DRAWN, id="learned-drawn", marks=pytest.mark.nightly),
        pytest.param(MODERN, GREEDY, id="modern-greedy", marks=pytest.mark.nightly),
    ],
)
def test_a_row_of_a_batch_is_what_it_is_alone(size: Size, how: Decoding) -> None:
    together = run(size, [0, 1, 2], how, end=6)
    for i in range(3):
        alone = run(size, [i], how, end=6)
        np.testing.assert_array_equal(alone.tokens[0], together.tokens[i])
        np.testing.assert_allclose(
            alone.log_probabilities[0], together.log_probabilities[i], atol=1e-4
        )


@pytest.mark.slow
def test_greedy_rows_equal_the_generator_without_padding() -> None:
    found = run(MODERN, [0, 1, 2], GREEDY)
    for prompt, row in zip(PROMPTS, found.tokens, strict=True):
        expected = generate(MODERN, params(MODERN), prompt[None], jax.random.key(0), 5, 0.0)
        np.testing.assert_array_equal(row, expected[0, len(prompt) :])
    np.testing.assert_array_equal(found.lengths, 5)


@pytest.mark.slow
def test_log_probabilities_are_those_of_the_model_whatever_is_drawn_from() -> None:
    found = run(LEARNED, [0], Decoding(0.5, 3, repetition_penalty=2.0))
    text = np.concatenate([PROMPTS[0], found.tokens[0]])[None]
    logits = forward(LEARNED, params(LEARNED), text)
    expected = np.asarray(jax.nn.log_softmax(logits, -1))[0, 2:-1]
    np.testing.assert_allclose(
        found.log_probabilities[0], expected[np.arange(5), found.tokens[0]], atol=1e-4
    )


@pytest.mark.slow
def test_a_row_ends_at_the_end_token_and_not_before_the_fewest_tokens() -> None:
    free = run(LEARNED, [0, 1, 2], Decoding(1.0))
    end = int(free.tokens[0, 1])
    found = run(LEARNED, [0, 1, 2], Decoding(1.0), end=end)
    for row, length, logp, whole in zip(
        found.tokens, found.lengths, found.log_probabilities, free.tokens, strict=True
    ):
        expected = np.flatnonzero(whole == end)[0] if end in whole else 5
        assert length == expected
        np.testing.assert_array_equal(row[:length], whole[:length])
        np.testing.assert_array_equal(row[length:], end)
        np.testing.assert_array_equal(logp[length + 1 :], 0)
        assert (logp[: length + 1] < 0).all()
    later = run(LEARNED, [0, 1, 2], Decoding(1.0, min_tokens=3), end=end)
    assert (later.lengths >= 3).all()


@pytest.mark.slow
def test_a_large_penalty_repeats_only_where_all_others_are_unlikely() -> None:
    text = run(LEARNED, [0], Decoding(0.0, repetition_penalty=1e9)).tokens[0]
    whole = np.concatenate([PROMPTS[0], text])
    logits = np.asarray(forward(LEARNED, params(LEARNED), whole[None]))[0]
    for i in range(len(PROMPTS[0]), len(whole)):
        before = set(whole[:i].tolist())
        others = [token for token in range(LEARNED.vocabulary) if token not in before]
        if whole[i] in before:  # its logit is divided to 0, which is above the negative ones
            assert logits[i - 1, others].max() <= 0
        else:
            assert whole[i] == max(others, key=lambda token: logits[i - 1, token])


@pytest.mark.slow
def test_a_large_encouragement_ends() -> None:
    end = int(run(LEARNED, [0], GREEDY).tokens[0].max() + 1) % 11
    ended = run(LEARNED, [0], Decoding(0.0, shorten_from=2, shorten_by=1e9), end=end)
    assert ended.lengths[0] <= 3


@pytest.mark.slow
def test_penalties_by_hand() -> None:
    logits = jnp.array([[2.0, -2.0, 1.0, 0.5]])
    seen = jnp.array([[True, True, False, False]])
    np.testing.assert_allclose(penalised(logits, seen, 2.0), [[1.0, -4.0, 1.0, 0.5]])
    for length, expected in ((1, -2.0), (2, -2.0), (3, -2 + 2 * 0.5), (4, -2 + 2 * 1.25)):
        found = end_encouraged(logits, 1, jnp.asarray(length), 2, 1.5)
        np.testing.assert_allclose(found, [[2.0, expected, 1.0, 0.5]])


@pytest.mark.slow
@pytest.mark.parametrize("of_end", [-2.0, 0.0, 2.0])
def test_an_end_that_is_encouraged_for_long_has_a_finite_logit(of_end: float) -> None:
    logits = jnp.array([[2.0, of_end, 1.0]])
    found = end_encouraged(logits, 1, jnp.asarray(300), 0, 2.0)
    assert np.isfinite(found).all()
    if of_end:
        assert choose(jax.random.key(0), found, 1.0, 0, 0.9).tolist() == [1]


@pytest.mark.slow
def test_min_p_keeps_tokens_that_are_likely_enough_and_ties() -> None:
    logits = jnp.tile(jnp.log(jnp.array([0.4, 0.2, 0.2, 0.15, 0.05])), (500, 1))

    def drawn(*how: Any) -> set[int]:
        return set(np.asarray(choose(jax.random.key(0), logits, *how)).tolist())

    assert drawn(1.0, 0, 1.0, 0.4) == {0, 1, 2}
    assert drawn(1.0, 0, 1.0, 0.1) == {0, 1, 2, 3, 4}
    assert drawn(0.5, 0, 1.0, 0.4) == {0}  # sharpened, 0.2 is a quarter as likely as 0.4
    assert drawn(1.0, 2) == {0, 1, 2}  # both of a tie


@pytest.mark.quick
def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit a context of 8"):
        run(LEARNED, [0], GREEDY, length=6)
    with pytest.raises(ValueError, match="end token 11 is not in a vocabulary of 11"):
        run(LEARNED, [0], GREEDY, end=11)
    for prompts in ([], [np.array([], np.int32)], [np.arange(4)]):
        with pytest.raises(ValueError, match="prompts have 1 to 3 tokens"):
            left_padded(prompts, 3)
    wrong: list[dict[str, Any]] = [
        {"temperature": -1.0}, {"top_k": -1}, {"top_p": 0.0}, {"min_p": 1.5},
        {"repetition_penalty": 0.0}, {"min_tokens": -1}, {"shorten_from": -1}, {"shorten_by": 0.0},
    ]  # fmt: skip
    for each in wrong:
        with pytest.raises(ValueError, match=next(iter(each))):
            dataclasses.replace(Decoding(), **each)
