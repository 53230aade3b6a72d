"""The encoder-decoder: packed rows are pairs apart, padding is nothing, the cache changes nothing,
and it can copy.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.data.sets.pair_rows import END, START
from dlcore.models import attention_gru, seq2seq
from dlcore.models.beam import beam_search
from dlcore.models.seq2seq import Seq2Seq

pytestmark = pytest.mark.slow

SIZES = {
    "transformer": seq2seq.Size(
        vocabulary=11, encoder_layers=2, decoder_layers=2, heads=2, width=8
    ),
    "gru": attention_gru.Size(vocabulary=11, encoder_layers=1, width=8),
}
NETS = {
    "transformer": (Seq2Seq, seq2seq.begin),
    "gru": (attention_gru.AttentionGRU, attention_gru.begin),
}
each = pytest.mark.parametrize("family", SIZES)
PAIRS = [([3, 4, 5], [6, 7]), ([8, 9], [3, 3, 10, 5]), ([7], [4, 9, 6])]


def net(family: str) -> Any:
    return NETS[family][0](SIZES[family])


@functools.cache
def params(family: str) -> Any:
    """Random, and larger than at the start of training: every part of the net then tells."""
    one = jnp.ones((1, 2), jnp.int32)
    tree = jax.jit(net(family).init)(jax.random.key(2), one, one, one, one)["params"]
    return jax.tree.map(lambda p: np.asarray(p * 8 if p.ndim == 2 else p), tree)


def laid(
    pairs: list[tuple[list[int], list[int]]], source: int, target: int
) -> tuple[jax.Array, ...]:
    """One row that holds all pairs, on `source` and `target` places."""
    both = ([s for s, _ in pairs], [[START, *t] for _, t in pairs])
    out: list[Any] = []
    for side, length in zip(both, (source, target), strict=True):
        subwords = [p for part in side for p in part]
        numbers = [n + 1 for n, part in enumerate(side) for _ in part]
        out += [jnp.asarray([x + [0] * (length - len(x))]) for x in (subwords, numbers)]
    return tuple(out)


@functools.cache
def compiled(family: str) -> Any:
    return jax.jit(net(family).apply)


def begun(family: str, source: Any, real: Any) -> Any:
    """The search's step and state over an encoded source: three beams, six positions."""
    return NETS[family][1](SIZES[family], params(family), source, real, 3, 6)


def logits(family: str, *batch: Any) -> np.ndarray:
    return np.asarray(compiled(family)({"params": params(family)}, *batch))


@each
def test_a_packed_row_equals_its_pairs_alone_and_padding_is_nothing(family: str) -> None:
    together = logits(family, *laid(PAIRS, 9, 14))[0]
    at = 0
    for source, target in PAIRS:
        length = len(target) + 1
        alone = logits(family, *laid([(source, target)], 9, 14))[0, :length]
        np.testing.assert_allclose(together[at : at + length], alone, rtol=1e-4, atol=1e-4)
        at += length
    source, target = PAIRS[1]
    tight = logits(family, *laid([(source, target)], len(source), len(target) + 1))[0]
    np.testing.assert_allclose(
        logits(family, *laid([(source, target)], 9, 14))[0, : len(tight)],
        tight,
        rtol=1e-4,
        atol=1e-4,
    )
    assert np.abs(together[0] - together[3]).max() > 0.1  # the same START, another source


@each
def test_a_place_sees_all_of_its_source_and_no_later_target(family: str) -> None:
    _, source_pair, _, pair = laid(PAIRS[1:], 3, 9)
    shared, whole = params(family), dataclasses.replace(SIZES[family], vocabulary=23)
    # each place has a piece of its own, so that there is an embedding to differentiate by
    numbers = 11 + jnp.arange(12)[None]

    @jax.jit
    def slopes(place: jax.Array) -> jax.Array:
        def logit_sum(rows: jax.Array) -> jax.Array:
            own = {
                **shared,
                "embed": {"embedding": jnp.concatenate([shared["embed"]["embedding"], rows])},
            }
            given = numbers[:, :3], source_pair, numbers[:, 3:], pair
            return NETS[family][0](whole).apply({"params": own}, *given)[0, place, :11].sum()

        return jax.grad(logit_sum)(jax.random.normal(jax.random.key(5), (12, whole.width)))

    for place, source, target in (
        (1, [0, 1], [0, 1]),
        (4, [0, 1], [0, 1, 2, 3, 4]),
        (6, [2], [5, 6]),
    ):
        seen = np.flatnonzero(np.abs(np.asarray(slopes(jnp.asarray(place)))).max(1) > 0)
        assert seen.tolist() == [*source, *(3 + at for at in target)]


@each
def test_decoding_with_a_cache_equals_whole_passes(family: str) -> None:
    source, _, tokens, pair = laid([([3, 4, 5, 9], [6, 7, 7, 2, 9])], 6, 6)
    whole = logits(family, source, (source > 0).astype(jnp.int32), tokens, pair)
    params(family)  # made before anything is traced
    twice = np.tile(source, (2, 1)), np.tile(source != 0, (2, 1))
    state = jax.jit(lambda: begun(family, *twice)[1])()
    run = jax.jit(lambda *x: begun(family, *twice)[0](*x))
    for position in range(6):
        found, state = run(jnp.full((2, 3), tokens[0, position]), state, jnp.asarray(position))
        np.testing.assert_allclose(
            found, np.broadcast_to(whole[0, position], (2, 3, 11)), rtol=1e-4, atol=1e-4
        )


def naive(family: str, source: jax.Array, beams: int, length: int) -> tuple[float, list[int]]:
    """Beam search without a cache, in Python: the best text, by the mean over ((5 + n) / 6)."""
    alive, ended = [(0.0, [START])], []
    while len(alive[0][1]) <= length and len(ended) < beams:
        texts = np.zeros((beams, length), np.int32)
        for row, (_, text) in zip(texts, alive, strict=False):
            row[: len(text)] = text
        there = np.ones((beams, source.shape[1]), np.int32)
        logit_sum = logits(family, jnp.tile(source, (beams, 1)), there, texts, np.ones_like(texts))
        logp = np.asarray(jax.nn.log_softmax(logit_sum[:, len(alive[0][1]) - 1]))
        grown = sorted(
            ((s + logp[b, t], [*text, t]) for b, (s, text) in enumerate(alive) for t in range(11)),
            reverse=True,
        )
        first = grown[: 2 * beams]
        ended += [(s / ((5 + len(x) - 1) / 6), x[1:]) for s, x in first[:beams] if x[-1] == END]
        alive = [(s, x) for s, x in first if x[-1] != END][:beams]
    left = [] if len(ended) >= beams else [(s / ((5 + length) / 6), x[1:]) for s, x in alive]
    return max(ended + left)


@each
def test_searching_over_the_cache_equals_searching_without(family: str) -> None:
    params(family)  # made before anything is traced
    start = jnp.array([START])
    search = jax.jit(
        lambda rows: beam_search(*begun(family, rows, rows != 0), start, beams=3, length=6, end=END)
    )
    for source in ([[3, 4, 5]], [[9, 9, 10]]):
        rows = jnp.asarray(source)
        texts, scores = search(rows)
        score, text = naive(family, rows, 3, 6)
        assert scores[0, 0] == pytest.approx(score, rel=1e-4)
        assert texts[0, 0].tolist() == text + [END] * (6 - len(text))
