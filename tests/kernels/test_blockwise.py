"""Attention block by block: as if all weights had been written out, in memory that does not grow with the square of the length."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcore.kernels.attention import attention, causal_attention
from dlcore.kernels.blockwise import blockwise_attention
from tests.kernels.case import Case, normals
from tests.kernels.test_attention import EDGES, draw, of_seen, reference


def _masked(*shape: int) -> Any:
    seen = np.random.default_rng(3).random(shape) < 0.6
    seen[0] = False  # padding altogether
    return lambda generator: (*(generator.standard_normal((2, 2, n, 4)) for n in (3, 5, 5)), seen)


def of_two(q: Any, k: Any, v: Any, seen: Any = None) -> Any:
    """In blocks of two, the last of which is filled up."""
    return blockwise_attention(q, k, v, seen, block=2)


CASES = {
    "blockwise_attention": Case(
        of_two,
        of_seen,
        _masked(2, 5),
        grads=(0, 1, 2),
        modes=("rev",),
        batched=(0, 1, 2, 3),
        edges={
            name: (q, k, np.abs(v) if name == "huge values" else v, np.ones((1, q.shape[2]), bool))
            for name, (q, k, v) in EDGES.items()
        },
    ),
    "blockwise_attention:each its own": Case(
        of_two, of_seen, _masked(2, 3, 5), grads=(0, 1, 2), modes=("rev",), batched=(0, 1, 2, 3)
    ),
    "blockwise_attention:all": Case(
        of_two,
        lambda q, k, v: of_seen(q, k, v, np.ones((2, 5), bool)),
        normals(*[(2, 2, 5, 4)] * 3),
        grads=(0, 1, 2),
        modes=("rev",),
        batched=(0, 1, 2),
    ),
    "blockwise_attention:causal": Case(
        lambda q, k, v: blockwise_attention(q, k, v, causal=True, block=2),
        reference,
        normals(*[(2, 2, 5, 4)] * 3),
        grads=(0, 1, 2),
        modes=("rev",),
        batched=(0, 1, 2),
        edges=EDGES,
    ),
}


@given(st.integers(1, 9), st.integers(1, 10), st.booleans(), st.integers(0, 5))
def test_no_block_changes_the_result(length: int, block: int, causal: bool, seed: int) -> None:
    q, k, v = draw(seed, 3, 1, 2, length, 4)
    weight = draw(seed + 1, 1, 2, length, 4)
    plain = (lambda *a: causal_attention(*a, impl="plain")) if causal else (lambda *a: attention(*a, impl="plain"))
    blocks = lambda *a: blockwise_attention(*a, causal=causal, block=block)  # noqa: E731
    np.testing.assert_allclose(blocks(q, k, v), plain(q, k, v), atol=1e-5)
    found, expected = (jax.grad(lambda *a, f=f: (f(*a) * weight).sum(), argnums=(0, 1, 2))(q, k, v) for f in (blocks, plain))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_masked_equals_sliced() -> None:
    q, k, v = draw(0, 3, 1, 2, 7, 4)
    seen = jnp.array([[True, False, True, True, False, False, True]])
    kept = np.flatnonzero(seen[0])
    np.testing.assert_allclose(of_two(q, k, v, seen), of_two(q, k[:, :, kept], v[:, :, kept]), atol=1e-6)


def test_padding_and_packed_rows_are_causal_too() -> None:
    q, k, v = draw(1, 3, 2, 2, 6, 4)
    segment = jnp.array([[0, 0, 0, 1, 1, 1], [0, 1, 1, 1, 2, 2]])
    same = segment[:, :, None] == segment[:, None]
    expected = attention(q, k, v, same & jnp.tril(jnp.ones((6, 6), bool))[None], impl="plain")
    np.testing.assert_allclose(blockwise_attention(q, k, v, same, causal=True, block=4), expected, atol=1e-6)


def test_later_tokens_change_no_output_bit() -> None:
    q, k, v = draw(3, 3, 1, 1, 6, 2)
    changed = (a.at[:, :, 3:].set(1e6) for a in (q, k, v))
    one, other = (blockwise_attention(*a, causal=True, block=2) for a in (changed, (q, k, v)))
    np.testing.assert_array_equal(one[:, :, :3], other[:, :, :3])


@pytest.mark.parametrize("causal", [True, False])
def test_8192_tokens_need_no_square(causal: bool) -> None:
    shape = jax.ShapeDtypeStruct((1, 2, 8192, 32), jnp.float32)
    f = causal_attention if causal else attention
    made = jax.jit(jax.grad(lambda *a: f(*a).sum(), argnums=(0, 1, 2))).lower(shape, shape, shape).compile()
    assert "8192,8192]" not in made.as_text()
    assert made.memory_analysis().temp_size_in_bytes < 8192 * 8192  # of one byte a pair of one head


@pytest.mark.parametrize("seen", [(2, 1024), (2, 1024, 1024)])
def test_long_sequences_go_in_blocks_and_short_ones_do_not(seen: tuple[int, ...]) -> None:
    def loops(length: int) -> bool:
        shape = jax.ShapeDtypeStruct((2, 1, length, 8), jnp.float32)
        mask = jax.ShapeDtypeStruct((2, *[length] * (len(seen) - 1)), bool)
        return "scan[" in str(jax.make_jaxpr(attention)(shape, shape, shape, mask))

    assert loops(1024)
    assert not loops(1023)


def test_what_does_not_fit_is_refused() -> None:
    x = jnp.zeros((1, 1, 4, 2))
    with pytest.raises(ValueError, match="as many queries as keys, not 2 and 4"):
        blockwise_attention(x[:, :, :2], x, x, causal=True)
    with pytest.raises(ValueError, match="a block of 0 tokens"):
        blockwise_attention(x, x, x, block=0)
