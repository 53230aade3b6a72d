"""Attention: what may be seen, what the cache changes (nothing), and what rotary positions depend
on.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcore.kernels.attention import attention, cached_attention, causal_attention, rotary
from tests.kernels.case import Case, normals

pytestmark = pytest.mark.slow


def softmax(x: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def reference(q: np.ndarray, k: np.ndarray, v: np.ndarray, position: Any = 0) -> np.ndarray:
    """Query by query, over the places that it may see."""
    out = np.empty_like(q)
    for b, h, i in np.ndindex(q.shape[:3]):
        seen = int(position) + i + 1
        weights = softmax(k[b, h, :seen] @ q[b, h, i] / np.sqrt(q.shape[-1]))
        out[b, h, i] = weights @ v[b, h, :seen]
    return out


def of_seen(q: np.ndarray, k: np.ndarray, v: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Query by query, over the keys that it sees; over all of them alike where it sees none."""
    out = np.empty((*q.shape[:-1], v.shape[-1]))
    for b, h, i in np.ndindex(q.shape[:3]):
        own = seen[b] if seen.ndim == 2 else seen[b, i]
        weights = (
            softmax(k[b, h, own] @ q[b, h, i] / np.sqrt(q.shape[-1]))
            if own.any()
            else np.full(len(own), 1 / len(own))
        )
        out[b, h, i] = weights @ (v[b, h, own] if own.any() else v[b, h])
    return out


def turned(x: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Pairs as complex numbers, multiplied by e^(i angle)."""
    half = x.shape[-1] // 2
    angle = position[:, None] * 10000.0 ** (-np.arange(half) / half)
    z = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * angle)
    return np.concatenate([z.real, z.imag], -1)


def _edge(q: float, k: float, v: float, length: int = 4) -> tuple[np.ndarray, ...]:
    # Small integers times a power of ten: float32 holds the scores exactly, so that nothing but the
    # softmax is judged.
    whole = np.random.default_rng(2).integers(-3, 4, (3, 1, 2, length, 4)).astype(np.float64)
    return tuple(part * size for part, size in zip(whole, (q, k, v), strict=True))


EDGES = {
    "one token": _edge(1, 1, 1, length=1),
    "huge scores": _edge(1e4, 1e4, 1),
    "huge values": _edge(1, 1, 1e30),
    "tiny": _edge(1e-30, 1e-30, 1e-30),
    "a query that is not a number": tuple(
        np.where(np.arange(4)[:, None] == 3, [np.nan, 1, 1][i], a)
        for i, a in enumerate(_edge(1, 1, 1))
    ),
}


def _cached(generator: np.random.Generator) -> tuple[Any, ...]:
    q, k, v = (generator.standard_normal((2, 2, length, 4)) for length in (3, 7, 7))
    return q, k, v, np.int32(2)


def _masked(*shape: int) -> Any:
    seen = np.random.default_rng(3).random(shape) < 0.6
    seen[0] = False  # padding altogether
    return lambda generator: (*(generator.standard_normal((2, 2, n, 4)) for n in (3, 5, 5)), seen)


def _grouped(keys: int) -> Any:
    """Four heads of queries, and two of keys and values, with a mask of each row."""
    visible = np.random.default_rng(4).random((2, keys)) < 0.6
    shapes = ((2, 4, 3, 4), (2, 2, keys, 4), (2, 2, keys, 4))
    return lambda generator: (*(generator.standard_normal(shape) for shape in shapes), visible)


CASES = {
    "attention": Case(
        attention,
        of_seen,
        _masked(2, 5),
        grads=(0, 1, 2),
        batched=(0, 1, 2, 3),
        edges={
            # Huge values are positive here: the reference adds in another order, and where they
            # cancel only rounding is left.
            name: (q, k, np.abs(v) if name == "huge values" else v, np.ones((1, q.shape[2]), bool))
            for name, (q, k, v) in EDGES.items()
        },
    ),
    "attention:each its own": Case(
        attention, of_seen, _masked(2, 3, 5), grads=(0, 1, 2), batched=(0, 1, 2, 3)
    ),
    "attention:all": Case(
        attention,
        lambda q, k, v: of_seen(q, k, v, np.ones((2, 5), bool)),
        normals(*[(2, 2, 5, 4)] * 3),
        grads=(0, 1, 2),
        batched=(0, 1, 2),
    ),
    "attention:grouped keys": Case(
        attention,
        lambda q, k, v, visible: of_seen(q, k.repeat(2, 1), v.repeat(2, 1), visible),
        _grouped(5),
        grads=(0, 1, 2),
        batched=(0, 1, 2, 3),
    ),
    "attention:grouped keys by blocks": Case(
        functools.partial(attention, impl="blockwise"),
        lambda q, k, v, visible: of_seen(q, k.repeat(2, 1), v.repeat(2, 1), visible),
        _grouped(5),
        grads=(0, 1, 2),
        batched=(0, 1, 2, 3),
    ),
    "causal_attention:grouped keys": Case(
        causal_attention,
        lambda q, k, v: reference(q, k.repeat(2, 1), v.repeat(2, 1)),
        normals((2, 4, 5, 4), (2, 2, 5, 4), (2, 2, 5, 4)),
        grads=(0, 1, 2),
        batched=(0, 1, 2),
    ),
    "causal_attention": Case(
        causal_attention,
        reference,
        normals(*[(2, 2, 5, 4)] * 3),
        grads=(0, 1, 2),
        batched=(0, 1, 2),
        edges=EDGES,
    ),
    "cached_attention": Case(
        cached_attention,
        reference,
        _cached,
        grads=(0, 1, 2),
        batched=(0, 1, 2),
        edges={name: (*arrays, np.int32(0)) for name, arrays in EDGES.items()},
    ),
    "rotary": Case(
        rotary,
        turned,
        lambda generator: (generator.standard_normal((2, 3, 5, 6)), np.arange(5)),
        grads=(0,),
        edges={
            "one token": (np.ones((1, 1, 2)), np.array([0])),
            "far away": (np.ones((2, 8)), np.array([9999, 10000])),
            "huge": (np.array([[1e4, 1e30, 1e4, -1e30]]), np.array([1])),
            "not a number": (np.array([[np.nan, 1.0, 1.0, 1.0]]), np.array([1])),
        },
        edge=1e-3,  # an angle of 10,000 is itself rounded to 1e-3 in float32
    ),
}


def draw(seed: int, *shape: int) -> jax.Array:
    """Standard normal numbers."""
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def test_an_output_has_exactly_no_gradient_to_later_inputs() -> None:
    q, k, v = draw(0, 3, 1, 2, 4, 4)
    weight = draw(1, 1, 2, 4)
    slopes = jax.jit(
        jax.grad(
            lambda *a: (causal_attention(*a[:3])[:, :, a[3]] * weight).sum(), argnums=(0, 1, 2)
        )
    )
    for t in range(4):
        grads = slopes(q, k, v, np.int32(t))
        for grad in grads:
            np.testing.assert_array_equal(grad[:, :, t + 1 :], 0)
        # and each earlier value counts
        assert (np.abs(np.asarray(grads[2][:, :, : t + 1])) > 0).all()


_causal = jax.jit(causal_attention)


@given(st.integers(0, 5), st.floats(-1e6, 1e6))
def test_later_tokens_change_no_output_bit(t: int, value: float) -> None:
    x = np.asarray(draw(3, 3, 1, 1, 6, 2))
    changed = np.where(np.arange(6)[:, None] >= t, np.float32(value), x)
    np.testing.assert_array_equal(_causal(*changed)[:, :, :t], _causal(*x)[:, :, :t])


@pytest.mark.parametrize("lengths", [[1] * 6, [4, 1, 1], [2, 3, 1]])
def test_token_by_token_over_a_cache_equals_all_at_once(lengths: list[int]) -> None:
    q, k, v = draw(4, 3, 2, 2, 6, 4)
    whole = causal_attention(q, k, v)
    room = 9  # places that are never filled must not be seen
    keys = values = jnp.full((2, 2, room, 4), 50.0)
    position, cached = 0, jax.jit(cached_attention)
    for new in lengths:
        now = slice(position, position + new)
        keys, values = keys.at[:, :, now].set(k[:, :, now]), values.at[:, :, now].set(v[:, :, now])
        found = cached(q[:, :, now], keys, values, np.int32(position))
        np.testing.assert_allclose(found, whole[:, :, now], rtol=1e-5, atol=1e-6)
        position += new


def test_equal_keys_average_the_past() -> None:
    v = draw(5, 1, 1, 5, 2)
    found = causal_attention(draw(6, 1, 1, 5, 2), jnp.ones((1, 1, 5, 2)), v)
    means = np.cumsum(np.asarray(v), 2) / np.arange(1, 6)[:, None]
    np.testing.assert_allclose(found, means, rtol=1e-5, atol=1e-6)


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 300))
def test_rotary_scores_depend_on_the_distance_alone(i: int, j: int, further: int) -> None:
    with jax.enable_x64(True):
        q, k = (jnp.asarray(draw(seed, 1, 8), jnp.float64) for seed in (7, 8))
        score = lambda a, b: (rotary(q, jnp.array([a])) * rotary(k, jnp.array([b]))).sum()  # noqa: E731
        assert abs(score(i, j) - score(i + further, j + further)) < 1e-10


def test_rotary_keeps_lengths_and_place_0_and_tells_places_apart() -> None:
    x = jnp.tile(draw(9, 1, 8), (5, 1))
    y = rotary(x, jnp.arange(5))
    np.testing.assert_allclose(jnp.linalg.norm(y, axis=-1), jnp.linalg.norm(x, axis=-1), rtol=1e-6)
    np.testing.assert_array_equal(y[0], x[0])
    assert len(np.unique(np.asarray(y), axis=0)) == 5
    with pytest.raises(ValueError, match="a head size of 3 is odd"):
        rotary(jnp.ones((2, 3)), jnp.arange(2))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_rotary_at_places_known_while_tracing_gives_the_same_bits(dtype: Any) -> None:
    x = draw(9, 2, 5, 8).astype(dtype)
    known, traced = (jax.jit(lambda x, xp=xp: rotary(x, xp.arange(5)))(x) for xp in (np, jnp))
    np.testing.assert_array_equal(np.asarray(known, np.float32), np.asarray(traced, np.float32))
    assert known.dtype == dtype


def test_bfloat16_inputs_are_compared_in_float32() -> None:
    """Scores of 64 and 64.25 are one number in bfloat16; their softmax weights differ by a
    quarter.
    """
    q = jnp.full((1, 1, 2, 4), 8.0, jnp.bfloat16)
    k = jnp.stack([jnp.full(4, 4.0), jnp.array([4, 4, 4, 4.0625])]).astype(jnp.bfloat16)[None, None]
    v = jnp.array([[0.0], [1.0]], jnp.bfloat16)[None, None] * jnp.ones((1, 1, 1, 4), jnp.bfloat16)
    expected = 1 / (1 + np.exp(-0.25))
    for found in (causal_attention(q, k, v), cached_attention(q, k, v, jnp.asarray(0))):
        np.testing.assert_allclose(np.asarray(found, np.float32)[0, 0, 1], expected, rtol=1e-2)
