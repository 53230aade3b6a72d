"""Speculative decoding: the texts of plain decoding, whatever a drafter proposes."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from dlcore.models.drafters import Drafter, PromptLookup, SmallGPT
from dlcore.models.gpt import Size
from dlcore.models.gpt_batch import GREEDY, Decoding, Generated, generate_batch, left_padded
from dlcore.models.gpt_generation import generate
from dlcore.models.speculative import accepted, generate_speculatively
from tests.models.test_gpt import LEARNED, MODERN, forward, params

KEYS = jax.random.split(jax.random.key(0), 3)
PROMPTS = [np.array([3, 1, 4]), np.array([5]), np.array([9, 2])]
LONG = dataclasses.replace(MODERN, context=24, layers=1)
SHORT = dataclasses.replace(LEARNED, layers=1)
SMALL = Size(11, 24, 1, 1, 4, rotary=True)


def small(tokens: int = 3, seed: int = 0) -> SmallGPT:
    return SmallGPT(SMALL, params(SMALL, seed), tokens)


def run(
    size: Size, rows: list[int], drafter: Drafter, how: Decoding, end: int = -1, length: int = 5
) -> tuple[Generated, np.ndarray]:
    """Continues some of the prompts in one batch."""
    tokens, padding = left_padded([PROMPTS[i] for i in rows], 3)
    found, passes = generate_speculatively(
        size, params(size), tokens, padding, KEYS[jnp.asarray(rows)], length, end, drafter, how
    )
    return Generated(*map(np.asarray, found)), np.asarray(passes)


def plain(size: Size, how: Decoding, end: int = -1, length: int = 5) -> Generated:
    tokens, padding = left_padded(PROMPTS)
    found = generate_batch(size, params(size), tokens, padding, KEYS, length, end, how)
    return Generated(*map(np.asarray, found))


def equal(found: Generated, expected: Generated) -> None:
    np.testing.assert_array_equal(found.tokens, expected.tokens)
    np.testing.assert_array_equal(found.lengths, expected.lengths)
    np.testing.assert_allclose(found.log_probabilities, expected.log_probabilities, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("drafter", [PromptLookup(4), small()], ids=["lookup", "gpt"])
def test_greedy_texts_are_those_of_plain_decoding(drafter: Drafter) -> None:
    expected = plain(LONG, GREEDY, length=21)
    found, passes = run(LONG, [0, 1, 2], drafter, GREEDY, length=21)
    equal(found, expected)
    assert (passes <= 21).all()


@pytest.mark.nightly
def test_learned_positions_to_the_end_of_the_context() -> None:
    found, _ = run(LEARNED, [0, 1, 2], PromptLookup(4), GREEDY)
    equal(found, plain(LEARNED, GREEDY))


@pytest.mark.nightly
def test_penalties_and_ends_are_those_of_plain_decoding() -> None:
    free = plain(LONG, GREEDY, length=21).tokens
    end = int(free[0, 4])
    how = Decoding(0.0, repetition_penalty=1.5, min_tokens=3, shorten_from=6, shorten_by=1.2)
    expected = plain(LONG, how, end, 21)
    assert (expected.lengths < 21).any()
    assert (expected.tokens != free).any()
    equal(run(LONG, [0, 1, 2], PromptLookup(4), how, end, 21)[0], expected)


@pytest.mark.nightly
def test_a_model_that_drafts_for_itself_is_always_accepted() -> None:
    drafter = SmallGPT(LONG, params(LONG), 4)
    _, passes = run(LONG, [0, 1, 2], drafter, Decoding(1.0), length=20)
    np.testing.assert_array_equal(passes, 4)  # 5 tokens a pass


@pytest.mark.nightly
def test_rows_accept_different_numbers_and_are_what_they_are_alone() -> None:
    how = Decoding(0.7, 5)
    together, passes = run(LONG, [0, 1, 2], small(), how, end=6, length=20)
    assert len(set(passes.tolist())) > 1
    for i in range(3):
        alone, own = run(LONG, [i], small(), how, end=6, length=20)
        np.testing.assert_array_equal(alone.tokens[0], together.tokens[i])
        assert own[0] == passes[i]


def exact(how: Decoding) -> np.ndarray:
    """The probability of each pair of tokens after the first prompt [vocabulary, vocabulary]."""
    vocabulary = SHORT.vocabulary
    texts = np.stack([np.append(PROMPTS[0], i) for i in range(vocabulary)])
    logits = np.asarray(forward(SHORT, params(SHORT), texts), np.float64)[:, 2:4]
    p = np.exp(logits / how.temperature)
    if how.top_k:
        p[p < np.sort(p, -1)[..., -how.top_k, None]] = 0
    p /= p.sum(-1, keepdims=True)
    return p[0, 0][:, None] * p[:, 1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "drafter",
    [PromptLookup(2, 1), SmallGPT(dataclasses.replace(SMALL, context=8), params(SMALL), 2)],
    ids=["lookup", "gpt"],
)
def test_drawn_texts_have_the_distribution_of_the_model(drafter: Drafter) -> None:
    how, draws = Decoding(1.5, 6), 6000
    prompt = np.tile(PROMPTS[0], (draws, 1))
    keys = jax.random.split(jax.random.key(1), draws)
    found, _ = generate_speculatively(
        SHORT, params(SHORT), prompt, np.zeros(draws, np.int32), keys, 2, -1, drafter, how
    )
    tokens, expected = np.asarray(found.tokens), exact(how) * draws
    counted = np.zeros_like(expected)
    np.add.at(counted, (tokens[:, 0], tokens[:, 1]), 1)
    drawn_from = expected > 0
    assert not counted[~drawn_from].any()
    assert drawn_from.sum() == 36
    assert expected[drawn_from].min() > 5
    assert scipy.stats.chisquare(counted[drawn_from], expected[drawn_from]).pvalue > 0.01


@pytest.mark.slow
def test_the_rule_of_acceptance_returns_the_distribution_of_the_model() -> None:
    """And accepts sum_x min(p(x), q(x)) of the proposals (Leviathan et al. 2023, lemma 3.3)."""
    p = jnp.array([[0.5, 0.3, 0.2, 0.0], [0.1, 0.2, 0.3, 0.4]])
    q = jnp.array([[0.1, 0.6, 0.1, 0.2]])
    draws = 40_000
    for_proposals, for_rule = jax.random.split(jax.random.key(0))
    proposed = jax.random.categorical(for_proposals, jnp.log(q[0]), shape=(draws, 1))
    keys = jax.random.split(for_rule, draws)
    tokens, valid = jax.jit(jax.vmap(accepted, (0, None, 0, None)))(keys, p, proposed, q)
    tokens, valid = np.asarray(tokens), np.asarray(valid)
    both = valid == 2
    for drawn, expected in ((tokens[:, 0], p[0]), (tokens[both, 1], p[1])):
        counted = np.bincount(drawn, minlength=4)
        keep = np.asarray(expected) > 0
        assert not counted[~keep].any()
        theirs = np.asarray(expected, np.float64)[keep] * len(drawn)
        assert scipy.stats.chisquare(counted[keep], theirs, sum_check=False).pvalue > 0.01
    rate = float(jnp.minimum(p[0], q[0]).sum())
    assert abs(both.mean() - rate) < 0.01


def proposals(text: list[int], tokens: int, ngram: int, padding: int = 0) -> list[int]:
    """What is looked up, by loops."""
    best, place = 0, len(text) - 2
    for at in range(len(text) - 2, padding - 1, -1):
        same = 0
        while same < ngram and at - same >= padding and text[at - same] == text[-1 - same]:
            same += 1
        if same > best:
            best, place = same, at
    after = text[place + 1 :]
    return [after[i % len(after)] for i in range(tokens)]


@pytest.mark.slow
def test_lookup_finds_the_longest_and_latest_agreement() -> None:
    generator = np.random.default_rng(0)
    lengths = np.array([1, 2, 5, 9, 12, 12, 7, 3])
    padding = np.array([0, 0, 2, 4, 0, 6, 5, 2])
    texts = generator.integers(0, 3, (8, 14))
    propose = jax.jit(lambda *rows: PromptLookup(4, 3).propose((), *rows, KEYS, GREEDY)[0][0])
    found = propose(texts, lengths, padding)
    for row, text, length, pad in zip(found, texts, lengths, padding, strict=True):
        assert row.tolist() == proposals(text[:length].tolist(), 4, 3, pad)


@pytest.mark.quick
def test_what_cannot_work_is_refused() -> None:
    other = dataclasses.replace(SMALL, vocabulary=7)
    wrong: list[tuple[Any, str]] = [
        (PromptLookup(0), "at least 1 token"), (PromptLookup(2, 0), "at least 1 token"),
        (SmallGPT(SMALL, {}, 0), "at least 1 token"), (SmallGPT(other, {}), "vocabulary of 11"),
        (SmallGPT(dataclasses.replace(SMALL, context=9), {}), "context of 24"),
    ]  # fmt: skip
    for drafter, message in wrong:
        with pytest.raises(ValueError, match=message):
            run(LONG, [0], drafter, GREEDY)
    with pytest.raises(ValueError, match="do not fit a context of 24"):
        run(LONG, [0], PromptLookup(), GREEDY, length=22)


@pytest.mark.nightly
def test_the_generator_past_the_context_writes_the_same_greedy_text() -> None:
    prompt, how = PROMPTS[0][None], (20, 0.0, 0, 1.0)
    expected = generate(LEARNED, params(LEARNED), prompt, jax.random.key(0), *how)
    found = generate(LEARNED, params(LEARNED), prompt, jax.random.key(0), *how, 3)
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="at least 0 tokens are proposed, not -1"):
        generate(LEARNED, params(LEARNED), prompt, jax.random.key(0), *how, -1)


@pytest.mark.nightly
def test_rows_of_one_prompt_draw_different_texts_with_proposals() -> None:
    prompt = np.stack([PROMPTS[0]] * 2)
    found = generate(LEARNED, params(LEARNED), prompt, jax.random.key(0), 8, 1.5, 0, 1.0, 2)
    assert (np.asarray(found[0]) != np.asarray(found[1])).any()
