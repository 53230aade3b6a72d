"""Conditional random fields: against the enumeration of all sequences, and what padding does."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels.crf import (
    RANGE,
    crf_loss,
    log_partition,
    marginals,
    path_score,
    span_scores,
    viterbi,
)
from tests.kernels.case import Case

LENGTHS = np.array([6, 3, 1, 5], np.int32)
TAGS = np.random.default_rng(3).integers(0, 4, (4, 6)).astype(np.int32)
# tag 2 continues 1 and itself, as I- continues B-
CONTINUES = np.zeros((4, 4), bool)
CONTINUES[[1, 2], 2] = True


def paths(
    e: np.ndarray, t: np.ndarray, start: np.ndarray, end: np.ndarray, n: int
) -> Iterator[tuple[tuple[int, ...], float]]:
    """All tag sequences of one chain with their scores."""
    for y in itertools.product(range(e.shape[1]), repeat=n):
        moves = sum(t[a, b] for a, b in itertools.pairwise(y))
        score = sum(e[k, tag] for k, tag in enumerate(y)) + moves
        yield y, score + (start[y[0]] + end[y[-1]] if n else 0.0)


def per_chain(e: np.ndarray, *rest: np.ndarray) -> Iterator[tuple[Any, np.ndarray]]:
    """The sequences of each chain and their log-probabilities; not normalised is `total`."""
    *matrices, length = rest
    for chain, n in zip(e, length, strict=True):
        found = list(paths(chain, *matrices, int(n)))
        yield [y for y, _ in found], np.array([score for _, score in found])


def partition(*given: np.ndarray) -> np.ndarray:
    return np.array([np.logaddexp.reduce(scores) for _, scores in per_chain(*given)])


def scored(*given: np.ndarray) -> np.ndarray:
    *chain, tags = given
    found = zip(per_chain(*chain), tags, chain[-1], strict=True)
    return np.array([scores[ys.index(tuple(y[:n]))] for (ys, scores), y, n in found])


def probable(e: np.ndarray, *rest: np.ndarray) -> np.ndarray:
    out = np.zeros(e.shape)
    for row, (ys, scores) in zip(out, per_chain(e, *rest), strict=True):
        p = np.exp(scores - np.logaddexp.reduce(scores))
        for y, each in zip(ys, p, strict=True):
            for position, tag in enumerate(y):
                row[position, tag] += each
    return out


def best(e: np.ndarray, *rest: np.ndarray) -> np.ndarray:
    out = np.zeros(e.shape[:2])
    for row, (ys, scores) in zip(out, per_chain(e, *rest), strict=True):
        y = ys[int(scores.argmax())]
        row[: len(y)] = y
    return out


def span(e: np.ndarray, *rest: np.ndarray) -> np.ndarray:
    """Probabilities of all spans (first, last) of the given tags [batch, length, length]."""
    *chain, tags, continues = rest
    out = np.zeros((*e.shape[:2], e.shape[1]))
    for row, (ys, scores), own, n in zip(out, per_chain(e, *chain), tags, chain[-1], strict=True):
        p = np.exp(scores - np.logaddexp.reduce(scores))
        for i, j in itertools.combinations_with_replacement(range(n), 2):
            row[i, j] = sum(
                each
                for y, each in zip(ys, p, strict=True)
                if list(y[i : j + 1]) == list(own[i : j + 1])
                and (j + 1 == n or not continues[y[j], y[j + 1]])
            )
    return out


def spans(*given: Any) -> Any:
    parts = span_scores(*given)
    position = jnp.arange(parts.shape[1])
    inside = (position[:, None] <= position[None])[None] & (
        position[None, None] < given[4][:, None, None]
    )
    p = jnp.exp(parts[:, :, None, 0] + parts[:, None, :, 1])
    return jnp.where(inside, p, 0).astype(given[0].dtype)


def made(generator: np.random.Generator) -> tuple[Any, ...]:
    shapes = (4, 6, 4), (4, 4), (4,), (4,)
    return *(generator.standard_normal(shape) for shape in shapes), LENGTHS


def broad(generator: np.random.Generator) -> tuple[Any, ...]:
    """Transitions of a range beyond that of products, some of them impossible."""
    e, t, *rest = made(generator)
    t = t.copy()
    t[0, 2] = t[3, 2] = -1e4
    return e, t, *rest


def with_tags(generator: np.random.Generator) -> tuple[Any, ...]:
    return *made(generator), TAGS


def like_first(function: Any) -> Any:
    return lambda e, *rest: function(e, *rest).astype(e.dtype)


GIVEN = made(np.random.default_rng(1))
PADDED = np.where(np.arange(6)[None, :, None] < LENGTHS[:, None, None], GIVEN[0], np.nan)
EMPTY = np.array([6, 0, 1, 5], np.int32)
EDGES = {
    "one position": (GIVEN[0][:, :1], *GIVEN[1:4], np.ones(4, np.int32)),
    "padding is not a number": (PADDED, *GIVEN[1:]),
    "an empty chain": (*GIVEN[:4], EMPTY),
    "impossible transitions": broad(np.random.default_rng(2)),
    "huge emissions": (1e4 * np.sign(GIVEN[0]), *GIVEN[1:]),
    "at the range of products": (GIVEN[0], RANGE * (GIVEN[1] > 0), *GIVEN[2:]),
}
CHAINED = {"grads": (0, 1, 2, 3), "batched": (0, 4), "edges": EDGES}
EDGES_TAGS = {
    name: (*given, TAGS[:, : given[0].shape[1]])
    for name, given in EDGES.items()
    if name != "impossible transitions"  # float32 cannot hold a loss of 0.1 beside 1e4
}
PATHS = {"grads": (0, 1, 2, 3), "batched": (0, 4, 5), "f32": 2e-6, "edges": EDGES_TAGS}


def lossy(*given: np.ndarray) -> np.ndarray:
    return partition(*given[:-1]) - scored(*given)


CASES = {
    "log_partition": Case(like_first(log_partition), partition, made, **CHAINED),
    "log_partition:impossible": Case(like_first(log_partition), partition, broad, (0, 1), (0, 4)),
    "path_score": Case(like_first(path_score), scored, with_tags, **PATHS),
    "crf_loss": Case(like_first(crf_loss), lossy, with_tags, **PATHS),
    "marginals": Case(like_first(marginals), probable, made, **CHAINED),
    "viterbi": Case(like_first(viterbi), best, made, batched=(0, 4), edges=EDGES),
    "span_scores": Case(
        spans,
        span,
        lambda generator: (*with_tags(generator), CONTINUES),
        batched=(0, 4, 5),
    ),
}


def drawn(
    tags: int, length: tuple[int, ...]
) -> tuple[np.random.Generator, list[np.ndarray], np.ndarray]:
    """A generator, whose seed is the number of tags; then scores and true tags of random chains."""
    generator = np.random.default_rng(tags)
    shapes = (len(length), 6, tags), (tags, tags), (tags,), (tags,)
    given = [3 * generator.standard_normal(shape) for shape in shapes]
    return generator, given, generator.integers(0, tags, shapes[0][:2]).astype(np.int32)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tags", "lengths"), [(1, (6, 3, 1)), (2, (5, 4, 2)), (3, (1, 6, 3)), (4, (6, 5, 2))]
)
def test_random_chains_equal_enumeration_in_float64(tags: int, lengths: tuple[int, ...]) -> None:
    """Values and gradients."""
    generator, given, gold = drawn(tags, lengths)
    length = np.array(lengths, np.int32)
    with jax.enable_x64(True):
        run = jax.jit(
            lambda *x: (
                crf_loss(*x, length, gold).sum(),
                log_partition(*x, length),
                marginals(*x, length),
                viterbi(*x, length),
            )
        )
        loss, total, p, y = run(*given)
        slopes = jax.jit(jax.grad(lambda *x: crf_loss(*x, length, gold).sum(), (0, 1, 2, 3)))
        gradient = slopes(*given)
    np.testing.assert_allclose(total, partition(*given, length), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(p, probable(*given, length), rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(y, best(*given, length))
    assert float(loss) == pytest.approx(lossy(*given, length, gold).sum(), rel=1e-11)
    for place, slope in enumerate(gradient):
        direction = generator.standard_normal(slope.shape)
        ahead, behind = ([*given], [*given])
        ahead[place], behind[place] = (given[place] + s * 1e-5 * direction for s in (1, -1))
        expected = lossy(*ahead, length, gold).sum() - lossy(*behind, length, gold).sum()
        assert float((np.asarray(slope) * direction).sum()) == pytest.approx(
            expected / 2e-5, abs=1e-6
        )


@pytest.mark.slow
@pytest.mark.parametrize(("tags", "lengths"), [(2, (1, 6)), (3, (2, 5)), (4, (3, 4))])
def test_padding_changes_nothing_in_float64(tags: int, lengths: tuple[int, ...]) -> None:
    """A chain in a longer row, with anything in its padding, is the chain by itself."""
    _, (e, *matrices), gold = drawn(tags, lengths)
    length = np.array(lengths, np.int32)

    def loss(e: Any, *rest: Any) -> Any:
        each = crf_loss(e, *rest)
        return each.sum(), each

    @jax.jit
    def run(*given: Any) -> Any:
        *chain, _ = given
        slope, each = jax.grad(loss, has_aux=True)(*given)
        return (log_partition(*chain), each), (marginals(*chain), viterbi(*chain), slope)

    with jax.enable_x64(True):
        filled = np.where(np.arange(6)[None, :, None] < length[:, None, None], e, np.nan)
        totals, rows = run(filled, *matrices, length, gold)
        for i, n in enumerate(length):
            only = slice(i, i + 1)
            alone, positions = run(e[only, :n], *matrices, length[only], gold[only, :n])
            for ours, expected in zip(totals, alone, strict=True):
                np.testing.assert_allclose(ours[i], expected[0], rtol=1e-12, atol=1e-12)
            for ours, expected in zip(rows, positions, strict=True):
                assert ours.dtype == expected.dtype
                np.testing.assert_allclose(ours[i, :n], expected[0], rtol=1e-12, atol=1e-12)
                np.testing.assert_array_equal(ours[i, n:], 0)


@pytest.mark.quick
def test_a_tag_with_an_emission_of_minus_infinity_is_ruled_out() -> None:
    emissions = jnp.zeros((1, 2, 3)).at[:, :, 2].set(-jnp.inf)
    chain = jnp.zeros((3, 3)), jnp.zeros(3), jnp.zeros(3), jnp.array([2]), jnp.array([[0, 1]])
    loss, gradient = jax.value_and_grad(lambda e: crf_loss(e, *chain)[0])(emissions)
    np.testing.assert_allclose(loss, np.log(4), rtol=1e-6)  # two tags at two positions
    np.testing.assert_allclose(gradient, [[[-0.5, 0.5, 0], [0.5, -0.5, 0]]], atol=1e-6)


@pytest.mark.usefixtures("unchecked")
def test_arrays_of_numpy_are_taken_as_those_of_jax() -> None:
    chain = (*(x.astype(np.float32) for x in GIVEN[:4]), LENGTHS)
    for function in (log_partition, marginals, viterbi):
        np.testing.assert_array_equal(function(*chain), function(*map(jnp.asarray, chain)))


@pytest.mark.usefixtures("unchecked")
def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        log_partition(jnp.zeros((2, 5, 3)), jnp.zeros((4, 4)), *(jnp.zeros(3),) * 2, jnp.ones(2))
