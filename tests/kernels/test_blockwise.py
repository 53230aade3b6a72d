"""Attention block by block: as if all weights had been written out, in memory that does not grow
with the square of the length.
"""

from __future__ import annotations

import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

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
        batched=(0, 1, 2, 3),
        edges={
            name: (q, k, np.abs(v) if name == "huge values" else v, np.ones((1, q.shape[2]), bool))
            for name, (q, k, v) in EDGES.items()
        },
    ),
    "blockwise_attention:each its own": Case(
        of_two, of_seen, _masked(2, 3, 5), grads=(0, 1, 2), batched=(0, 1, 2, 3)
    ),
    "blockwise_attention:all": Case(
        of_two,
        lambda q, k, v: of_seen(q, k, v, np.ones((2, 5), bool)),
        normals(*[(2, 2, 5, 4)] * 3),
        grads=(0, 1, 2),
        batched=(0, 1, 2),
    ),
    "blockwise_attention:grouped keys": Case(
        lambda q, k, v: blockwise_attention(q, k, v, causal=True, block=2),
        lambda q, k, v: reference(q, k.repeat(3, 1), v.repeat(3, 1)),
        normals((2, 6, 5, 4), (2, 2, 5, 4), (2, 2, 5, 4)),
        grads=(0, 1, 2),
        batched=(0, 1, 2),
    ),
    "blockwise_attention:causal": Case(
        lambda q, k, v: blockwise_attention(q, k, v, causal=True, block=2),
        reference,
        normals(*[(2, 2, 5, 4)] * 3),
        grads=(0, 1, 2),
        batched=(0, 1, 2),
        edges=EDGES,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("length", "blocks"), [(1, (1, 3)), (6, (2, 6)), (7, (1, 3, 8))])
def test_no_block_changes_the_result(length: int, blocks: tuple[int, ...], causal: bool) -> None:
    """Blocks that divide the length, leave a rest, are of one token and larger than all: values and
    gradients.
    """
    x, weight = draw(length, 3, 1, 2, length, 4), draw(8, 1, 2, length, 4)

    @functools.partial(jax.jit, static_argnums=0)
    def value_and_slopes(f: Any, x: Any, weight: Any) -> Any:
        value, pull = jax.vjp(f, *x)
        return value, *pull(weight)

    expected = value_and_slopes(
        functools.partial(causal_attention if causal else attention, impl="plain"), x, weight
    )
    for block in blocks:
        found = value_and_slopes(
            functools.partial(blockwise_attention, causal=causal, block=block), x, weight
        )
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5, err_msg=str(block))


@pytest.mark.slow
@pytest.mark.parametrize("causal", [True, False])
def test_second_derivatives_are_those_of_all_weights_written_out_which_are_not(
    causal: bool,
) -> None:
    """Of a penalty on the gradient, in reverse mode twice; the last block filled up, and without
    order a query that sees no key.
    """
    seen = (
        None
        if causal
        else jnp.asarray(
            np.array([[True, False, True, True, False]]) & (np.arange(5) != 2)[None, :, None]
        )
    )
    with jax.enable_x64(True):
        *x, weight = jnp.asarray(np.random.default_rng(4).standard_normal((4, 1, 1, 5, 3)))

        def penalty(f: Any) -> Any:
            slopes = jax.grad(lambda *x: (f(*x) ** 2 * weight).sum(), argnums=(0, 1, 2))
            twice = jax.grad(lambda *x: sum((s**2).sum() for s in slopes(*x)), argnums=(0, 1, 2))
            return jax.jit(twice).lower(*x).compile()

        plain = penalty(
            lambda *x: (
                causal_attention(*x, impl="plain") if causal else attention(*x, seen, impl="plain")
            )
        )
        blocks = penalty(lambda *x: blockwise_attention(*x, seen, causal=causal, block=2))
        for a, b in zip(blocks(*x), plain(*x), strict=True):
            assert np.abs(b).max() > 1e-3
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)
        if causal:  # a mask is itself such a square
            assert "5,5]" in plain.as_text()
            assert not re.search(r"(5,5|6,6)\]", blocks.as_text())


def test_grouped_keys_are_not_repeated() -> None:
    q, k, v = (jnp.ones((2, heads, n, 4)) for heads, n in ((6, 5), (2, 9), (2, 9)))
    total = lambda q, k, v: blockwise_attention(q, k, v, block=3).sum()  # noqa: E731
    written = str(jax.make_jaxpr(jax.grad(total, (0, 1, 2)))(q, k, v))
    shapes = [tuple(map(int, s.split(","))) for s in re.findall(r"f32\[([\d,]+)\]", written)]
    assert (2, 2, 9, 4) in shapes
    assert max(map(np.prod, shapes)) < 2 * 6 * 9 * 4
    with pytest.raises(ValueError, match="2 groups of keys cannot be shared by 5 heads"):
        blockwise_attention(q[:, :5], k, v)


@pytest.mark.slow
def test_masked_equals_sliced() -> None:
    q, k, v = draw(0, 3, 1, 2, 7, 4)
    seen = jnp.array([[True, False, True, True, False, False, True]])
    kept = np.flatnonzero(seen[0])
    np.testing.assert_allclose(
        of_two(q, k, v, seen), of_two(q, k[:, :, kept], v[:, :, kept]), atol=1e-6
    )


@pytest.mark.slow
def test_padding_and_packed_rows_are_causal_too() -> None:
    q, k, v = draw(1, 3, 2, 2, 6, 4)
    segment = jnp.array([[0, 0, 0, 1, 1, 1], [0, 1, 1, 1, 2, 2]])
    same = segment[:, :, None] == segment[:, None]
    expected = attention(q, k, v, same & jnp.tril(jnp.ones((6, 6), bool))[None], impl="plain")
    np.testing.assert_allclose(
        blockwise_attention(q, k, v, same, causal=True, block=4), expected, atol=1e-6
    )


@pytest.mark.slow
def test_later_tokens_change_no_output_bit() -> None:
    q, k, v = draw(3, 3, 1, 1, 6, 2)
    changed = (a.at[:, :, 3:].set(1e6) for a in (q, k, v))
    one, other = (blockwise_attention(*a, causal=True, block=2) for a in (changed, (q, k, v)))
    np.testing.assert_array_equal(one[:, :, :3], other[:, :, :3])


@pytest.mark.slow
@pytest.mark.parametrize("causal", [True, False])
def test_8192_tokens_need_no_square(causal: bool) -> None:
    shape = jax.ShapeDtypeStruct((1, 2, 8192, 32), jnp.float32)
    f = causal_attention if causal else attention
    made = (
        jax.jit(jax.grad(lambda *a: f(*a).sum(), argnums=(0, 1, 2)))
        .lower(shape, shape, shape)
        .compile()
    )
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


@pytest.mark.quick
def test_half_precision_is_summed_in_float32() -> None:
    """Every product of the forward and of the backward pass."""
    x = jax.ShapeDtypeStruct((1, 1, 4, 8), jnp.bfloat16)
    slopes = jax.grad(
        lambda *x: blockwise_attention(*x, block=2).astype(jnp.float32).sum(), argnums=(0, 1, 2)
    )
    products = [
        line
        for line in str(jax.make_jaxpr(slopes)(x, x, x)).splitlines()
        if "= dot_general[" in line
    ]
    # scores and output; scores again, and the gradients by weights, q, k and v
    assert len(products) == 7
    assert all(re.search(r":f32\[[^]]*\] = dot_general", line) for line in products), products
    assert [g.dtype for g in jax.eval_shape(slopes, x, x, x)] == [jnp.bfloat16] * 3


def test_what_does_not_fit_is_refused() -> None:
    x = jnp.zeros((1, 1, 4, 2))
    with pytest.raises(ValueError, match="as many queries as keys, not 2 and 4"):
        blockwise_attention(x[:, :, :2], x, x, causal=True)
    with pytest.raises(ValueError, match="a block of 0 tokens"):
        blockwise_attention(x, x, x, block=0)
