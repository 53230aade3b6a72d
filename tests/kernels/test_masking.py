"""Corruption for masked language modelling: how much of it, what becomes of it, and that each row
decides for itself.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels.masking import corrupt_tokens, random_positions
from tests.kernels.case import Arrays, Case

ROWS = np.array([0, 3, 7, 2**31 - 1], np.int32)
MASK, FIRST, VOCABULARY = 2, 3, 50


def key() -> jax.Array:
    """The key of all tests here."""
    return jax.random.key(4)


def chosen(rows: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Row by row: the three allowed places with the smallest draws, others only where there are too
    few.
    """
    out = []
    for row, own in zip(rows, allowed, strict=True):
        draws = np.asarray(jax.random.uniform(jax.random.fold_in(key(), int(row)), own.shape))
        order = sorted(range(len(own)), key=lambda i: (not own[i], draws[i]))
        out.append(sorted(order[:3]))
    return np.array(out, np.int32)


def spoilt(rows: np.ndarray, tokens: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Place by place."""
    out = tokens.copy()
    for row, own, given in zip(rows, out, places, strict=True):
        of_row = jax.random.fold_in(key(), int(row))
        fates = jax.random.uniform(jax.random.fold_in(of_row, 0), given.shape)
        others = jax.random.randint(
            jax.random.fold_in(of_row, 1), given.shape, FIRST, VOCABULARY, np.int32
        )
        for place, fate, other in zip(given, np.asarray(fates), np.asarray(others), strict=True):
            own[place] = MASK if fate < 0.8 else other if fate < 0.9 else own[place]
    return out


def _texts(generator: np.random.Generator) -> Arrays:
    return (
        ROWS,
        generator.integers(FIRST, VOCABULARY, (4, 20)).astype(np.int32),
        np.tile(np.arange(2, 14), (4, 1)),
    )


def _allowed(*rows: list[int]) -> Arrays:
    return ROWS[: len(rows)], np.array(rows, bool)


CASES = {
    "random_positions": Case(
        lambda rows, allowed: random_positions(key(), rows, allowed, 3),
        chosen,
        lambda generator: (ROWS, generator.random((4, 9)) < 0.7),
        batched=(0, 1),
        f32=0,
        edges={
            "none allowed": _allowed([0] * 5),
            "too few": _allowed([0, 0, 1, 0, 1]),
            "just as many": _allowed([1, 1, 1]),
        },
    ),
    "corrupt_tokens": Case(
        lambda rows, tokens, places: corrupt_tokens(
            key(), rows, tokens, places, MASK, FIRST, VOCABULARY
        ),
        spoilt,
        _texts,
        batched=(0, 1, 2),
        f32=0,
        edges={"one piece": (ROWS[:1], np.array([[9]], np.int32), np.array([[0]]))},
    ),
}


@pytest.mark.slow
def test_four_fifths_are_hidden_a_tenth_is_another_and_a_tenth_stays() -> None:
    rows, length, count = np.arange(2000, dtype=np.int32), 64, 10
    tokens = jnp.asarray(
        np.random.default_rng(0).integers(FIRST, 1000, (len(rows), length)), jnp.int32
    )
    places = jax.jit(random_positions, static_argnums=3)(key(), rows, tokens >= FIRST, count)
    after = np.asarray(
        jax.jit(corrupt_tokens, static_argnums=(4, 5, 6))(
            jax.random.key(5), rows, tokens, places, MASK, FIRST, 1000
        )
    )
    before, places = np.asarray(tokens), np.asarray(places)
    at = np.take_along_axis(after, places, 1), np.take_along_axis(before, places, 1)
    hidden, same = (at[0] == MASK).mean(), (at[0] == at[1]).mean()
    assert abs(hidden - 0.8) < 0.01  # five standard deviations of 20,000 draws are 0.014
    assert abs(same - 0.1) < 0.01
    others = at[0][(at[0] != MASK) & (at[0] != at[1])]
    assert FIRST <= others.min() < 20  # from the whole vocabulary, and no special
    assert 980 < others.max() < 1000
    untouched = np.ones(before.shape, bool)
    np.put_along_axis(untouched, places, False, 1)
    np.testing.assert_array_equal(after[untouched], before[untouched])


@pytest.mark.slow
def test_places_differ_are_allowed_and_are_drawn_evenly() -> None:
    rows, allowed = np.arange(3000, dtype=np.int32), np.tile(np.arange(12) % 3 != 0, (3000, 1))
    places = np.asarray(random_positions(key(), rows, allowed, 4))
    assert (np.diff(places, axis=1) > 0).all()
    assert allowed[0][places].all()
    share = np.bincount(places.ravel(), minlength=12)[allowed[0]] / len(rows)
    assert np.abs(share - 0.5).max() < 0.05  # four of eight


@pytest.mark.slow
def test_a_row_keeps_its_draw_in_another_batch_and_another_step_draws_anew() -> None:
    allowed = np.ones((4, 30), bool)
    whole = np.asarray(random_positions(key(), ROWS, allowed, 5))
    np.testing.assert_array_equal(random_positions(key(), ROWS[::-1], allowed, 5), whole[::-1])
    assert (np.asarray(random_positions(jax.random.key(6), ROWS, allowed, 5)) != whole).any()
    assert len(np.unique(whole, axis=0)) == 4


def test_impossible_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot draw 4 distinct positions of 3"):
        random_positions(key(), ROWS[:1], np.ones((1, 3), bool), 4)
    with pytest.raises(ValueError, match="no token lies between 5 and 5"):
        corrupt_tokens(
            key(), ROWS[:1], np.ones((1, 3), np.int32), np.zeros((1, 1), np.int32), 2, 5, 5
        )
