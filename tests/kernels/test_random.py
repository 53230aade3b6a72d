"""Randomness by place: a row's draw is its own, whoever else is in the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from dlcore.kernels.random import drop_row, dropout, normal, per_example, uniform
from tests.kernels.case import Case

ROWS = np.array([0, 3, 7, 2**31 - 1], np.int32)
RATE = 0.4


def key() -> jax.Array:
    """The key of all tests here."""
    return jax.random.key(5)


def each(draw: Callable[[jax.Array], jax.Array], rows: np.ndarray) -> np.ndarray:
    """One draw after the other."""
    return np.stack([np.asarray(draw(jax.random.fold_in(key(), int(row)))) for row in rows])


def sign(k: jax.Array, x: jax.Array) -> jax.Array:
    """x or -x."""
    return jnp.where(jax.random.bernoulli(k), x, -x)


def dropped(rows: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Dropout with the masks drawn one by one."""
    keep = each(lambda k: jax.random.bernoulli(k, 1 - RATE, x.shape[1:]), rows)
    return np.where(keep, x / (1 - RATE), 0)


def rows_dropped(rows: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Whole rows dropped, with the coins thrown one by one."""
    keep = each(lambda k: jax.random.bernoulli(k, 1 - RATE), rows)
    return np.stack(
        [a / (1 - RATE) if kept else 0 * np.nan_to_num(a) for a, kept in zip(x, keep, strict=True)]
    )


def _rows_and(*shape: int) -> Callable[[np.random.Generator], tuple[Any, ...]]:
    return lambda generator: (ROWS, generator.standard_normal((len(ROWS), *shape)))


EDGES = {
    "one element": (ROWS[:1], np.array([[2.0]])),
    "huge": (ROWS, np.array([[1e4, 1e30]] * 4)),
    "tiny": (ROWS, np.array([[1e-30, -1e-30]] * 4)),
    "not finite": (ROWS, np.array([[np.nan, np.inf, -np.inf]] * 4)),
}

CASES = {
    "per_example": Case(
        lambda rows, x: per_example(sign, key(), rows, x),
        lambda rows, x: np.where(each(jax.random.bernoulli, rows)[:, None], x, -x),
        _rows_and(3),
        grads=(1,),
        batched=(0, 1),
        f32=0,
        bf16=0,
        edges=EDGES,
    ),
    "normal": Case(
        lambda rows: normal(key(), rows, (3, 2)),
        lambda rows: each(lambda k: jax.random.normal(k, (3, 2)), rows),
        lambda generator: (ROWS,),
        edges={"one element": (ROWS[:1],)},
    ),
    "uniform": Case(
        lambda rows: uniform(key(), rows, (3,)),
        lambda rows: each(lambda k: jax.random.uniform(k, (3,)), rows),
        lambda generator: (ROWS,),
        edges={"one element": (ROWS[:1],)},
    ),
    "dropout": Case(
        lambda rows, x: dropout(key(), rows, x, RATE),
        dropped,
        _rows_and(6),
        grads=(1,),
        batched=(0, 1),
        edges=EDGES,
    ),
    "drop_row": Case(
        lambda rows, x: drop_row(key(), rows, x, RATE),
        rows_dropped,
        _rows_and(3, 2),
        grads=(1,),
        batched=(0, 1),
        edges=EDGES,
    ),
}

DRAWS: dict[str, Callable[[np.ndarray], Any]] = {
    "normal": jax.jit(lambda rows: normal(key(), rows, (4,))),
    "uniform": jax.jit(lambda rows: uniform(key(), rows)),
    "dropout": jax.jit(lambda rows: dropout(key(), rows, jnp.ones((rows.shape[0], 16)), 0.5)),
    "drop_row": jax.jit(lambda rows: drop_row(key(), rows, jnp.ones((rows.shape[0], 2)), 0.5)),
}


@pytest.mark.parametrize("name", DRAWS)
@given(st.permutations(range(6)))
def test_rows_in_another_order_take_their_draws_along(name: str, order: list[int]) -> None:
    rows = np.arange(100, 106, dtype=np.int32)
    np.testing.assert_array_equal(DRAWS[name](rows[order]), np.asarray(DRAWS[name](rows))[order])


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("rows", [[4], [1, 4], [4, 900, 3]])
def test_a_row_draws_the_same_in_any_company(name: str, rows: list[int]) -> None:
    among = np.asarray(DRAWS[name](np.arange(6, dtype=np.int32)))[4]
    np.testing.assert_array_equal(
        np.asarray(DRAWS[name](np.array(rows, np.int32)))[rows.index(4)], among
    )


@pytest.mark.slow
def test_rows_and_keys_differ() -> None:
    drawn = np.asarray(normal(key(), np.arange(50), (1,))).ravel()
    assert len(set(drawn.tolist())) == 50
    assert not np.intersect1d(drawn, normal(jax.random.key(6), np.arange(50), (1,))).size


@pytest.mark.slow
def test_distributions_are_what_they_are_called() -> None:
    rows = np.arange(1000)
    assert scipy.stats.kstest(np.asarray(normal(key(), rows, (5,))).ravel(), "norm").pvalue > 0.01
    flat = np.asarray(uniform(key(), rows, (5,))).ravel()
    assert scipy.stats.kstest(flat, "uniform").pvalue > 0.01
    assert flat.min() >= 0
    assert flat.max() < 1
    assert (
        abs(
            scipy.stats.pearsonr(
                np.asarray(uniform(key(), rows))[1:], np.asarray(uniform(key(), rows))[:-1]
            ).statistic
        )
        < 0.1
    )


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean_and_is_0_or_scaled(rate: float) -> None:
    x = jnp.full((200, 50), 3.0)
    y = np.asarray(dropout(key(), jnp.arange(200), x, rate))
    assert set(np.unique(y)) == {np.float32(0), np.float32(3) / np.float32(1 - rate)}
    off = abs((y == 0).mean() - rate) / np.sqrt(rate * (1 - rate) / y.size)
    assert off < 4  # standard deviations
    per_row = (y == 0).mean(1)
    assert per_row.std() < 2 * np.sqrt(rate * (1 - rate) / 50)  # independent places, not whole rows


@pytest.mark.slow
def test_dropout_passes_gradient_only_where_it_kept() -> None:
    x = jnp.full((3, 20), 2.0)
    y, pull = jax.vjp(lambda x: dropout(key(), jnp.arange(3), x, 0.5), x)
    np.testing.assert_array_equal(pull(jnp.ones_like(y))[0], np.where(y == 0, 0.0, 2.0))


def test_rate_of_0_is_the_identity_and_bad_rates_are_refused() -> None:
    x = jnp.array([[np.nan, 1.0]])
    assert dropout(key(), jnp.arange(1), x, 0.0) is x
    for rate in (-0.1, 1.0, 1.5):
        with pytest.raises(ValueError, match=r"outside \[0, 1\)"):
            dropout(key(), jnp.arange(1), x, rate)


@pytest.mark.slow
def test_rows_are_dropped_whole_and_keep_the_mean() -> None:
    y = np.asarray(drop_row(key(), jnp.arange(400), jnp.full((400, 3, 2), 3.0), 0.25)).reshape(
        400, -1
    )
    assert set(np.unique(y)) == {np.float32(0), np.float32(4)}
    assert (y == y[:, :1]).all()
    assert abs((y[:, 0] == 0).sum() - 100) < 4 * np.sqrt(400 * 0.25 * 0.75)
    x = jnp.array([[np.nan, 1.0]])
    assert drop_row(key(), jnp.arange(1), x, 0.0) is x
    with pytest.raises(ValueError, match=r"outside \[0, 1\)"):
        drop_row(key(), jnp.arange(1), x, 1.0)
