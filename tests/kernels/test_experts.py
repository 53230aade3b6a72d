"""Routing to experts: equal to tokens that queue one by one; causal, and with a stated order."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels.experts import (
    combine,
    dispatch,
    expert_load,
    load_balance,
    route,
    router_z,
)
from tests.kernels.case import Arrays, Case, normals

TOP, CAPACITY, EXPERTS = 2, 3, 4
SHAPE = (2, 6, EXPERTS)  # rows, tokens, experts: of 12 choices an expert takes 3


def queued(logits: np.ndarray, top: int, capacity: int) -> list[list[list[tuple[int, int, float]]]]:
    """Expert, place (-1: dropped) and gate of each choice, token by token."""
    rows = []
    for row in logits:
        count, choices = [0] * row.shape[1], []
        for token in row:
            best = sorted(range(len(token)), key=lambda e: (-token[e], e))[:top]
            weights = np.exp([token[e] - token[best[0]] for e in best])
            own = []
            for e, gate in zip(best, weights / weights.sum(), strict=True):
                own.append((e, count[e] if count[e] < capacity else -1, float(gate)))
                count[e] += 1
            choices.append(own)
        rows.append(choices)
    return rows


def by_slots(logits: np.ndarray) -> np.ndarray:
    return np.array(
        [
            [[e * CAPACITY + p if p >= 0 else EXPERTS * CAPACITY for e, p, _ in t] for t in row]
            for row in queued(logits, TOP, CAPACITY)
        ]
    )


def by_choices(logits: np.ndarray) -> np.ndarray:
    found = np.full((len(logits), EXPERTS * CAPACITY), logits.shape[1] * TOP)
    for row, slots in enumerate(by_slots(logits)):
        for choice, slot in enumerate(slots.ravel()):
            if slot < EXPERTS * CAPACITY:
                found[row, slot] = choice
    return found


def by_dispatch(x: np.ndarray, logits: np.ndarray) -> np.ndarray:
    found = np.zeros((len(x), EXPERTS, CAPACITY, x.shape[-1]))
    for b, row in enumerate(queued(logits, TOP, CAPACITY)):
        for t, choices in enumerate(row):
            for e, place, _ in choices:
                if place >= 0:
                    found[b, e, place] = x[b, t]
    return found


def by_combine(y: np.ndarray, logits: np.ndarray) -> np.ndarray:
    found = np.zeros((*logits.shape[:2], y.shape[-1]))
    for b, row in enumerate(queued(logits, TOP, CAPACITY)):
        for t, choices in enumerate(row):
            for e, place, gate in choices:
                if place >= 0:
                    found[b, t] += gate * y[b, e, place]
    return found


def by_load(logits: np.ndarray, weight: np.ndarray) -> np.ndarray:
    load = np.zeros((len(logits), EXPERTS))
    for b, row in enumerate(queued(logits, TOP, CAPACITY)):
        for t, choices in enumerate(row):
            for e, _, _ in choices:
                load[b, e] += weight[b, t]
    return load / np.maximum(weight.sum(1, keepdims=True) * TOP, 1e-30)


def by_balance(logits: np.ndarray, weight: np.ndarray) -> np.ndarray:
    p = np.exp(logits - logits.max(-1, keepdims=True))
    p = p / p.sum(-1, keepdims=True)
    mean = (p * weight[..., None]).sum(1) / np.maximum(weight.sum(1, keepdims=True), 1e-30)
    return EXPERTS * (by_load(logits, weight) * mean).sum(-1)


def by_z(logits: np.ndarray) -> np.ndarray:
    top = logits.max(-1)
    return (top + np.log(np.exp(logits - top[..., None]).sum(-1))) ** 2


def through(x: Any, logits: Any, scale: Any) -> Any:
    """Experts that multiply by numbers of their own and bend."""
    routing = route(logits, TOP, CAPACITY)
    slots = dispatch(x, routing, EXPERTS)
    return combine(jnp.sin(slots * scale[None, :, None]), routing)


def by_token(x: np.ndarray, logits: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Each token through its own experts, without slots."""
    found = np.zeros(x.shape)
    for b, row in enumerate(queued(logits, TOP, CAPACITY)):
        for t, choices in enumerate(row):
            for e, place, gate in choices:
                if place >= 0:
                    found[b, t] += gate * np.sin(x[b, t] * scale[e])
    return found


def weighted(generator: np.random.Generator) -> Arrays:
    return generator.standard_normal(SHAPE), generator.random(SHAPE[:2])


TIED = np.zeros(SHAPE)
UNUSED = np.zeros(SHAPE[:2])
CASES = {
    "route:gates": Case(
        lambda logits: route(logits, TOP, CAPACITY).gates,
        lambda logits: np.array(
            [[[g for *_, g in t] for t in row] for row in queued(logits, TOP, CAPACITY)]
        ),
        normals(SHAPE),
        grads=(0,),
        edges={"equal logits": (TIED,), "far apart": (1e4 * np.eye(6, EXPERTS)[None],)},
    ),
    "route:slots": Case(
        lambda logits: route(logits, TOP, CAPACITY).slots.astype(logits.dtype),
        by_slots,
        normals(SHAPE),
        edges={"equal logits": (TIED,)},
    ),
    "route:choices": Case(
        lambda logits: route(logits, TOP, CAPACITY).choices.astype(logits.dtype),
        by_choices,
        normals(SHAPE),
    ),
    "dispatch": Case(
        lambda x, logits: dispatch(x, route(logits, TOP, CAPACITY), EXPERTS),
        by_dispatch,
        normals((2, 6, 5), SHAPE),
        grads=(0,),
        batched=(0, 1),
    ),
    "combine": Case(
        lambda y, logits: combine(y, route(logits, TOP, CAPACITY)),
        by_combine,
        normals((2, EXPERTS, CAPACITY, 5), SHAPE),
        grads=(0, 1),
        batched=(0, 1),
    ),
    "combine:with experts between": Case(
        through,
        by_token,
        normals((2, 6, 5), SHAPE, (EXPERTS, 5)),
        grads=(0, 1, 2),
        batched=(0, 1),
    ),
    "expert_load": Case(
        lambda logits, weight: expert_load(logits, weight, TOP),
        by_load,
        weighted,
        batched=(0, 1),
        edges={"equal logits, no token": (TIED, UNUSED)},
    ),
    "load_balance": Case(
        lambda logits, weight: load_balance(logits, weight, TOP),
        by_balance,
        weighted,
        grads=(0,),
        batched=(0, 1),
        edges={"no token": (TIED, UNUSED), "even": (TIED, UNUSED + 1)},
    ),
    "router_z": Case(router_z, by_z, normals(SHAPE), grads=(0,), edges={"large": (TIED + 1e4,)}),
}


@pytest.mark.slow
def test_a_token_is_routed_by_itself_and_earlier_tokens() -> None:
    logits = np.asarray(np.random.default_rng(0).standard_normal(SHAPE), np.float32)
    whole = route(logits, TOP, CAPACITY).slots
    assert (whole == EXPERTS * CAPACITY).any(), "nothing is dropped here"
    np.testing.assert_array_equal(route(logits[:, :4], TOP, CAPACITY).slots, whole[:, :4])
    changed = logits.copy()
    changed[:, 4:] = -changed[:, 4:]
    np.testing.assert_array_equal(route(changed, TOP, CAPACITY).slots[:, :4], whole[:, :4])


@pytest.mark.slow
def test_nothing_is_dropped_at_a_capacity_of_the_length() -> None:
    crowded = np.tile(np.arange(EXPERTS, dtype=np.float32), (1, 6, 1))
    assert route(crowded, TOP, 6).slots.max() < EXPERTS * 6
    dropped = route(crowded, TOP, CAPACITY).slots == EXPERTS * CAPACITY
    assert dropped.sum() == 2 * (6 - CAPACITY)
    assert dropped[:, CAPACITY:].all(), "the last tokens are dropped"


@pytest.mark.slow
def test_balance_is_1_for_an_even_load_and_experts_over_top_for_the_most_uneven() -> None:
    weight = jnp.ones((1, 4))
    even = jnp.asarray([[[9, 9, 0, 0], [0, 0, 9, 9], [9, 0, 9, 0], [0, 9, 0, 9]]], jnp.float32)
    assert load_balance(100 * even, weight, TOP) == pytest.approx(1, abs=1e-5)
    same = jnp.tile(jnp.asarray([9.0, 9, 0, 0]), (1, 4, 1))
    assert load_balance(100 * same, weight, TOP) == pytest.approx(EXPERTS / TOP, abs=1e-5)


def test_padding_counts_for_nothing() -> None:
    logits, weight = weighted(np.random.default_rng(1))
    weight[:, 4:] = 0
    found = jax.jit(load_balance, static_argnums=2)(logits, weight, TOP)
    np.testing.assert_allclose(found, by_balance(logits[:, :4], weight[:, :4]), rtol=1e-5)


def test_more_choices_than_experts_and_no_capacity_are_refused() -> None:
    for top, capacity in ((5, 1), (0, 1), (1, 0)):
        with pytest.raises(ValueError, match=f"{top} of 4 experts with a capacity of {capacity}"):
            route(jnp.zeros(SHAPE), top, capacity)
