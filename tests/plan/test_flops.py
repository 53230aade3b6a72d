"""FLOPs against counts by hand."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from dlcore.models.gpt import GPT, Size
from dlcore.plan.flops import count
from dlcore.sharding import layout

SIZE = Size(vocabulary=96, context=32, layers=3, heads=4, width=64)
ROWS = 2


def of(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


@pytest.mark.quick
def test_dots() -> None:
    assert count(jnp.matmul, of(3, 4), of(4, 5)) == 2 * 3 * 4 * 5
    assert (
        count(lambda a, b: jnp.einsum("bij,bjk->bik", a, b), of(7, 3, 4), of(7, 4, 5))
        == 7 * 2 * 3 * 4 * 5
    )
    assert count(jax.jit(jnp.matmul), of(3, 4), of(4, 5)) == 120
    assert count(lambda x: jnp.sin(x).sum(), of(9)) == 0


@pytest.mark.quick
def test_loops_and_branches() -> None:
    def loop(x: Any) -> Any:
        return jax.lax.scan(lambda c, _: (c @ c, None), x, length=11)[0]

    assert count(loop, of(4, 4)) == 11 * 128
    assert count(lambda x: jax.lax.fori_loop(0, 5, lambda _, c: c @ c, x), of(4, 4)) == 5 * 128
    assert (
        count(lambda x: jax.lax.cond(x[0, 0] > 0, lambda x: x @ x @ x, lambda x: x, x), of(4, 4))
        == 2 * 128
    )
    assert count(jax.grad(lambda x: jax.checkpoint(loop)(x).sum()), of(4, 4)) > count(
        jax.grad(lambda x: loop(x).sum()), of(4, 4)
    )


@pytest.mark.quick
@pytest.mark.parametrize(("stride", "groups"), [(1, 1), (2, 1), (1, 4)])
def test_convolutions_and_their_gradients(stride: int, groups: int) -> None:
    def f(x: Any, w: Any) -> Any:
        dims = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(
            x, w, (stride, stride), "SAME", dimension_numbers=dims, feature_group_count=groups
        )

    x, w = of(2, 8, 8, 4), of(3, 3, 4 // groups, 16)
    forward = 2 * 2 * (8 // stride) ** 2 * 16 * 9 * 4 // groups
    assert count(f, x, w) == forward
    both = count(jax.grad(lambda x, w: f(x, w).sum(), (0, 1)), x, w)
    # The gradient's taps at the edges fall on padding, which is counted; a third of the whole at
    # this size.
    assert forward * 2 <= both <= forward * 3.2


def test_a_shard_map_counts_every_device(devices: list[jax.Device]) -> None:
    mesh = layout("jit", "", devices).mesh
    mapped = jax.shard_map(
        lambda x: x @ x.T, mesh=mesh, in_specs=jax.P("data"), out_specs=jax.P("data")
    )
    assert count(mapped, of(16, 4)) == 8 * 2 * 2 * 4 * 2


@pytest.mark.slow
@pytest.mark.parametrize("scan", [False, True])
def test_a_gpt_takes_six_times_parameters_times_tokens(scan: bool) -> None:
    """6 N D (Kaplan et al. 2020) with N the matrices, the embedding once as the output's; and 12
    layers x length x width a token.

    Norms and softmax sum their rows by products with ones, which are less than one in a hundred
    even here.
    """
    size = dataclasses.replace(SIZE, scan=scan)
    net, tokens = GPT(size), jax.ShapeDtypeStruct((ROWS, size.context), jnp.int32)
    params = jax.eval_shape(net.init, jax.random.key(0), tokens)["params"]

    def loss(params: Any, tokens: Any) -> Any:
        return net.apply({"params": params}, tokens).sum()  # type: ignore[union-attr]

    matrices = 12 * size.layers * size.width**2 + size.vocabulary * size.width
    d = ROWS * size.context
    expected = 6 * matrices * d + 12 * size.layers * size.width * size.context * d
    found = count(jax.grad(loss), params, tokens)
    assert expected <= found <= 1.01 * expected
    assert count(loss, params, tokens) * 3 == pytest.approx(expected, rel=0.01)
    again = GPT(dataclasses.replace(size, remat=True))
    more = count(jax.grad(lambda p, t: again.apply({"params": p}, t).sum()), params, tokens)  # type: ignore[union-attr]
    blocks = found - 6 * size.vocabulary * size.width * d
    # All of the blocks' forward pass once more, but for the product whose result nobody needs: at
    # most a third.
    assert found + 0.2 * blocks < more <= found + blocks / 3


@pytest.mark.slow
def test_of_experts_only_the_slots_are_counted() -> None:
    """As many operations as in one MLP, times the capacity, and the router; however many experts.

    In inference every expert computes every token.
    """
    experts = 8
    dense = dataclasses.replace(SIZE, mlp="swiglu", rotary=True, width=48, layers=1)
    mixed = dataclasses.replace(dense, experts=experts, capacity=1.25)
    d, tokens = ROWS * SIZE.context, jax.ShapeDtypeStruct((ROWS, SIZE.context), jnp.int32)

    def counted(size: Size, train: bool) -> int:
        net = GPT(size)
        params = jax.eval_shape(net.init, jax.random.key(0), tokens)["params"]
        row = jnp.arange(ROWS)
        run = lambda p, t: net.apply({"params": p}, t, train=train, row=row).sum()  # type: ignore[union-attr]  # noqa: E731
        return count(jax.grad(run) if train else run, params, tokens)

    mlp, router = 3 * 2 * d * 48 * dense.hidden, 2 * d * 48 * experts
    assert mixed.expert_hidden * 2 == dense.hidden
    per_layer = (1.25 - 1) * mlp + router
    added = counted(mixed, train=True) - counted(dense, train=True)
    assert added == pytest.approx(3 * per_layer, rel=0.03)
    added = counted(mixed, train=False) - counted(dense, train=False)
    assert added == pytest.approx((experts / 2 - 1) * mlp + router, rel=0.03)


@pytest.mark.quick
def test_partial_functions_are_counted() -> None:
    assert count(functools.partial(jnp.matmul, precision="highest"), of(2, 2), of(2, 2)) == 16
