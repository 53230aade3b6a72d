"""Generation: what the compiled loop with its cache writes is what a naive loop writes."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from dlcore.models.gpt import Size
from dlcore.models.gpt_generation import generate, likeliest
from dlcore.models.sampling import choose
from tests.models.test_gpt import LEARNED, MODERN, ROTARY, TOKENS, forward, params

PROMPT = jnp.asarray(TOKENS[:, :3])


def naive(size: Size, prompt: np.ndarray, length: int) -> np.ndarray:
    """The likeliest token of one whole forward pass after the other; a full context continues
    from its second half.
    """
    text, window = [np.asarray(prompt)], np.asarray(prompt)
    for _ in range(length):
        if window.shape[1] == size.context:
            window = window[:, -(size.context // 2) :]
        token = np.asarray(forward(size, params(size), jnp.asarray(window)))[:, -1].argmax(-1)[
            :, None
        ]
        window = np.concatenate([window, token], 1)
        text.append(token)
    return np.concatenate(text, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "lengths"),
    [
        pytest.param(LEARNED, (0, 13), id="learned", marks=pytest.mark.nightly),
        pytest.param(MODERN, (5, 23), id="modern"),
    ],
)
def test_temperature_0_equals_the_naive_greedy_loop_far_past_the_context(
    size: Size, lengths: tuple[int, ...]
) -> None:
    expected = naive(size, PROMPT, 23)
    assert len(np.unique(expected)) > 3  # a model that repeats one token would prove little
    # Nothing, or exactly a full context; then whole segments of half a context, without and with a
    # rest.
    for length in lengths:
        found = generate(size, params(size), PROMPT, jax.random.key(0), length, 0.0)
        np.testing.assert_array_equal(found, expected[:, : 3 + length])


@pytest.mark.slow
def test_prompts_of_a_batch_do_not_meet() -> None:
    found = generate(LEARNED, params(LEARNED), PROMPT, jax.random.key(0), 5, 0.0)
    for i in range(2):
        alone = generate(LEARNED, params(LEARNED), PROMPT[i : i + 1], jax.random.key(0), 5, 0.0)
        np.testing.assert_array_equal(alone[0], found[i])


def sampled(key: int, length: int = 6, **how: Any) -> np.ndarray:
    """A drawn continuation."""
    return np.asarray(
        generate(
            ROTARY,
            params(ROTARY),
            PROMPT,
            jax.random.key(key),
            length,
            how.get("temperature", 1.0),
            how.get("top_k", 0),
        )
    )


@pytest.mark.slow
def test_text_is_a_function_of_its_key_and_keeps_the_prompt() -> None:
    one = sampled(1)
    np.testing.assert_array_equal(sampled(1), one)
    assert (sampled(2) != one).any()
    np.testing.assert_array_equal(one[:, :3], PROMPT)
    assert one.min() >= 0
    assert one.max() < ROTARY.vocabulary


@pytest.mark.slow
def test_a_longer_text_begins_with_the_shorter_one() -> None:
    long = sampled(1, 15)
    for length in (1, 6):
        np.testing.assert_array_equal(sampled(1, length), long[:, : 3 + length])


@pytest.mark.nightly
def test_top_1_is_greedy_at_any_temperature() -> None:
    np.testing.assert_array_equal(sampled(4, temperature=5.0, top_k=1), sampled(9, temperature=0.0))


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, 0), (0.5, 0), (2.0, 3), (1.0, 99)])
def test_tokens_are_drawn_from_the_distribution(temperature: float, top_k: int) -> None:
    logits = np.array([1.0, -1.0, 0.5, 2.0, 0.0], np.float32)
    drawn = np.asarray(choose(jax.random.key(0), jnp.tile(logits, (4000, 1)), temperature, top_k))
    expected = np.exp(logits.astype(np.float64) / temperature)
    if 0 < top_k < 5:
        expected[np.argsort(logits)[: 5 - top_k]] = 0
    expected *= len(drawn) / expected.sum()
    counted = np.bincount(drawn, minlength=5)
    assert not counted[expected == 0].any()
    assert scipy.stats.chisquare(counted[expected > 0], expected[expected > 0]).pvalue > 0.01


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_draws_from_the_distribution_of_its_logits(dtype: Any) -> None:
    # noise in bfloat16 would draw token 0 in 95 of 100 cases
    logits = jnp.zeros(50_001, dtype).at[0].set(6)
    drawn = choose(jax.random.key(0), jnp.tile(logits, (200, 1)), 1.0)
    assert int((drawn == 0).sum()) < 10  # 1.6 are expected


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [
        (1e-6, [3]),
        (0.55, [3]),
        (0.7, [3, 0]),
        (0.85, [3, 0, 2]),
        (0.999, [0, 1, 2, 3, 4]),
        (1.0, [0, 1, 2, 3, 4]),
    ],
)
def test_top_p_keeps_the_fewest_tokens_that_reach_it(top_p: float, kept: list[int]) -> None:
    # probabilities 0.207, 0.028, 0.126, 0.563, 0.076
    logits = np.array([1.0, -1.0, 0.5, 2.0, 0.0], np.float32)
    drawn = np.asarray(choose(jax.random.key(0), jnp.tile(logits, (4000, 1)), 1.0, 0, top_p))
    expected = np.zeros(5)
    expected[kept] = np.exp(logits.astype(np.float64))[kept]
    expected *= len(drawn) / expected.sum()
    counted = np.bincount(drawn, minlength=5)
    assert sorted(np.flatnonzero(counted)) == sorted(kept)
    assert len(kept) == 1 or scipy.stats.chisquare(counted[kept], expected[kept]).pvalue > 0.01


@pytest.mark.slow
def test_top_p_counts_what_temperature_and_top_k_leave() -> None:
    logits = jnp.tile(jnp.array([3.0, 2.0, 1.0, 0.0]), (500, 1))
    draw = lambda *how: set(np.asarray(choose(jax.random.key(0), logits, *how)).tolist())  # noqa: E731
    assert draw(1.0, 0, 0.7) == {0, 1}  # 0.64 alone does not reach it
    assert draw(0.5, 0, 0.7) == {0}  # sharpened to 0.86, it does
    assert draw(1.0, 2, 0.7) == {0}  # 0.73 of the two that are left


@pytest.mark.slow
def test_the_search_with_one_beam_is_greedy_and_with_all_beams_finds_the_best() -> None:
    size, length = MODERN, 3
    greedy = np.asarray(generate(size, params(size), PROMPT, jax.random.key(0), length, 0.0))[:, 3:]
    texts, _ = likeliest(size, params(size), PROMPT, length, 1, -1)
    np.testing.assert_array_equal(texts[:, 0], greedy)
    beams = size.vocabulary**2  # nothing is ever cut off
    texts, scores = likeliest(size, params(size), PROMPT[:1], length, beams, -1, 0.0)
    every = np.stack(
        np.meshgrid(*[np.arange(size.vocabulary)] * length, indexing="ij"), -1
    ).reshape(-1, length)
    given = np.concatenate([np.tile(PROMPT[:1], (len(every), 1)), every], 1)
    logp = np.asarray(jax.nn.log_softmax(forward(size, params(size), jnp.asarray(given)), -1))
    total = sum(logp[np.arange(len(every)), 2 + i, every[:, i]] for i in range(length))
    np.testing.assert_array_equal(texts[0, 0], every[total.argmax()])
    np.testing.assert_allclose(scores[0, :5], np.sort(total)[::-1][:5], rtol=1e-4, atol=1e-4)


def test_a_search_that_does_not_fit_the_context_is_refused() -> None:
    for prompt, length in ((PROMPT, 6), (PROMPT[:, :0], 2)):
        with pytest.raises(ValueError, match="do not fit a context of 8"):
            likeliest(LEARNED, params(LEARNED), prompt, length, 2, 0)


def test_prompts_and_temperatures_that_cannot_work_are_refused() -> None:
    for given in (0, LEARNED.context):
        with pytest.raises(ValueError, match="a prompt of 1 to 7 tokens"):
            generate(
                LEARNED, params(LEARNED), jnp.zeros((1, given), jnp.int32), jax.random.key(0), 3
            )
    with pytest.raises(ValueError, match=r"temperature -1\.0 is below 0"):
        generate(LEARNED, params(LEARNED), PROMPT, jax.random.key(0), 3, -1.0)
    for top_p in (0.0, 1.5):
        with pytest.raises(ValueError, match=r"top_p .* is outside"):
            generate(LEARNED, params(LEARNED), PROMPT, jax.random.key(0), 3, 1.0, 0, top_p)
    invalid = {"temperature": math.nan, "top_k": -1, "top_p": 0.0, "min_p": 1.5}
    for name, value in invalid.items():
        settings: dict[str, Any] = {"temperature": 1.0, name: value}
        with pytest.raises(ValueError, match=f"{name} .* is"):
            choose(jax.random.key(0), jnp.zeros(3), **settings)


@pytest.mark.slow
def test_no_segment_repeats_the_noise_of_another() -> None:
    """A model without opinions draws uniformly: what it writes is its noise alone."""
    blank = jax.tree.map(jnp.zeros_like, params(LEARNED))
    drawn = np.asarray(generate(LEARNED, blank, PROMPT[:1], jax.random.key(0), 5 + 3 * 4, 1.0))[
        0, 8:
    ].reshape(3, 4)
    assert len({tuple(segment) for segment in drawn.tolist()}) == 3
