"""Captioning networks: no word sees what follows, attention sums to 1, searching is decoding."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.models.beam import beam_search
from dlcore.models.captioning import Captioner, Encoder, Size, begin
from tests.models.compiled import apply, init

pytestmark = pytest.mark.slow

KINDS = ("gru", "transformer")
IMAGE = jax.random.normal(jax.random.key(0), (3, 16, 24, 3))
TOKENS = jnp.array([[1, 5, 6, 2], [1, 7, 2, 0], [1, 4, 4, 4]])


def network(kind: Any) -> tuple[Size, Any]:
    size = Size(9, 4, 8, kind, 2, 2)
    return size, init(Captioner(size), jax.random.key(1), IMAGE, TOKENS)


@pytest.mark.parametrize("kind", KINDS)
def test_words_see_the_picture_and_the_past_alone(kind: Any) -> None:
    size, variables = network(kind)
    net = Captioner(size)
    logits = apply(net, variables, IMAGE, TOKENS)
    assert logits.shape == (3, 4, 9)
    later = apply(net, variables, IMAGE, TOKENS.at[:, 2].set(8))
    np.testing.assert_allclose(later[:, :2], logits[:, :2], atol=1e-5)
    assert float(jnp.abs(later[:, 2:] - logits[:, 2:]).max()) > 1e-4
    other = apply(net, variables, IMAGE[::-1], TOKENS)
    assert float(jnp.abs(other[:, 0] - logits[:, 0]).max()) > 1e-5
    alone = apply(net, variables, IMAGE[1:2], TOKENS[1:2])
    np.testing.assert_allclose(alone, logits[1:2], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_attention_is_a_distribution_over_the_grid(kind: Any) -> None:
    size, variables = network(kind)
    net = Captioner(size)
    grid = apply(net, variables, IMAGE, method="encode")
    assert grid.shape == (3, 2 * 3, 8)
    _, weight = apply(net, variables, TOKENS, grid, method="decode")
    assert weight.shape == (3, 4, 6)
    np.testing.assert_allclose(weight.sum(-1), 1, atol=1e-5)
    # what a position contributes goes with its weight: a grid of equal features changes nothing
    flat = jnp.broadcast_to(grid.mean(1, keepdims=True), grid.shape)
    _, even = apply(net, variables, TOKENS, flat, method="decode")
    np.testing.assert_allclose(even, 1 / 6, atol=1e-5)
    # nor does a grid in which every position occurs twice
    logits, _ = apply(net, variables, TOKENS, grid, method="decode")
    twice, _ = apply(net, variables, TOKENS, jnp.concatenate([grid, grid], 1), method="decode")
    np.testing.assert_allclose(twice, logits, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_one_beam_is_the_greedy_caption(kind: Any) -> None:
    size, variables = network(kind)
    net, length = Captioner(size), 4
    step, state = begin(size, variables["params"], IMAGE, 1, length)
    found, _ = beam_search(
        step, state, jnp.ones(3, jnp.int32), beams=1, length=length, end=2, penalty=0.0
    )
    tokens = np.ones((3, 1), np.int32)
    for _ in range(length):
        padded = np.pad(tokens, ((0, 0), (0, length - tokens.shape[1])))
        logits = apply(net, variables, IMAGE, jnp.asarray(padded))[:, tokens.shape[1] - 1]
        following = np.asarray(logits.argmax(-1))
        ended = (tokens == 2).any(1)
        tokens = np.concatenate([tokens, np.where(ended, 2, following)[:, None]], 1)
        if tokens.shape[1] > length:
            break
    np.testing.assert_array_equal(found[:, 0], tokens[:, 1:])


def test_the_encoder_knows_where_something_is() -> None:
    """Equal pixels everywhere give features that differ by their coordinates."""
    net, image = Encoder(8), jnp.ones((1, 32, 32, 3))
    grid = apply(net, init(net, jax.random.key(0), image), image)[0]
    assert float(jnp.abs(grid[0] - grid[-1]).max()) > 1e-2
