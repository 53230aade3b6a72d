"""Layer normalisation: what it makes of a row, and what its gradient leaves out."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import PartitionSpec as P

from dlcore import sharding
from dlcore.kernels.norm import batch_norm, layer_norm, rms_norm
from tests.kernels.case import Case, normals

pytestmark = pytest.mark.slow

EPS = 1e-5


def reference(x: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """(x - mean) / sqrt(var + eps) * scale + bias."""
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + EPS) * scale + bias


def by_rms(x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """x / sqrt(mean(x^2) + 1e-6) * scale."""
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * scale


def by_column(x: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The same over all axes but the last."""
    axes = tuple(range(x.ndim - 1))
    return (x - x.mean(axes)) / np.sqrt(x.var(axes) + EPS) * scale + bias


def _edge(*rows: list[float]) -> tuple[np.ndarray, ...]:
    x = np.array(rows)
    return x, np.linspace(0.5, 2, x.shape[-1]), np.linspace(-1, 1, x.shape[-1])


CASES = {
    "layer_norm": Case(
        layer_norm,
        reference,
        normals((3, 4, 8), (8,), (8,)),
        grads=(0, 1, 2),
        f32=2e-6,
        # The rounding of a mean of 1e4; a variance in one pass, E x^2 - (E x)^2, would be off by
        # more than all of it.
        edge=2e-3,
        edges={
            "one element": _edge([3.0], [-1e30]),
            "constant": _edge([2.0, 2.0, 2.0], [0.0, 0.0, 0.0]),
            "large mean": _edge([10000.0, 10001.0, 9999.0, 10002.0]),
            "huge": _edge([1e4, -1e4, 0.0], [1e15, -2e15, 3e15]),
            "tiny": _edge([1e-20, -1e-20, 0.0], [1e-30, 2e-30, 3e-30]),
            "not a number": _edge([np.nan, 1.0, 2.0], [0.0, 1.0, 2.0]),
        },
    ),
    "rms_norm": Case(
        rms_norm,
        by_rms,
        normals((3, 4, 8), (8,)),
        grads=(0, 1),
        edges={
            "one element": _edge([3.0], [-1e15])[:2],
            "constant": _edge([2.0, 2.0, 2.0], [0.0, 0.0, 0.0])[:2],
            "huge": _edge([1e4, -1e4, 0.0], [1e15, -2e15, 3e15])[:2],
            "tiny": _edge([1e-20, -1e-20, 0.0], [1e-30, 2e-30, 3e-30])[:2],
            "not a number": _edge([np.nan, 1.0, 2.0], [0.0, 1.0, 2.0])[:2],
        },
    ),
    "batch_norm": Case(
        lambda x, scale, bias: batch_norm(x, scale, bias)[0],
        by_column,
        normals((3, 2, 2, 4), (4,), (4,)),
        grads=(0, 1, 2),
        batched=(),
        f32=2e-6,
        edge=2e-3,
        edges={
            "one example": _edge([3.0, -1e30]),
            "constant": _edge([2.0, 0.0], [2.0, 0.0], [2.0, 0.0]),
            "large mean": _edge([10000.0], [10001.0], [9999.0], [10002.0]),
            "huge": _edge([1e4, 1e15], [-1e4, -2e15], [0.0, 3e15]),
            "tiny": _edge([1e-20, 1e-30], [-1e-20, 2e-30], [0.0, 3e-30]),
            "not a number": _edge([np.nan, 0.0], [1.0, 1.0], [2.0, 2.0]),
        },
    ),
    "batch_norm:statistics": Case(
        lambda x: jnp.stack(
            batch_norm(x, jnp.ones(x.shape[-1], x.dtype), jnp.zeros(x.shape[-1], x.dtype))[1:]
        ).astype(x.dtype),
        lambda x: np.stack([x.mean((0, 1)), x.var((0, 1))]),
        normals((3, 4, 5)),
        batched=(),
    ),
}


def test_numbers_whose_squares_overflow_stay_finite() -> None:
    x = jnp.array([[1e30, -1e30, 0.0]])
    y, grad = jax.value_and_grad(lambda x: layer_norm(x, jnp.ones(3), jnp.ones(3)).sum())(x)
    assert np.isfinite(y)
    assert np.isfinite(grad).all()


@given(st.integers(0, 99), st.floats(-100, 100), st.floats(0.5, 50))
def test_shift_and_scale_of_the_input_do_not_matter(seed: int, shift: float, factor: float) -> None:
    x = np.random.default_rng(seed).standard_normal((2, 8)).astype(np.float32)
    one = layer_norm(jnp.asarray(x), jnp.ones(8), jnp.zeros(8), 0.0)
    other = layer_norm(
        jnp.asarray(x * np.float32(factor) + np.float32(shift)), jnp.ones(8), jnp.zeros(8), 0.0
    )
    np.testing.assert_allclose(other, one, atol=2e-3)


def test_gradient_is_orthogonal_to_what_the_output_ignores() -> None:
    """Along a constant and along the input itself the output does not move, so the gradient has no
    part there.
    """
    with jax.enable_x64(True):
        x, weight = jax.random.normal(jax.random.key(0), (2, 3, 8))
        grad = jax.jit(
            jax.grad(lambda x: (layer_norm(x, jnp.ones(8), jnp.zeros(8), 0.0) * weight).sum())
        )(x)
        np.testing.assert_allclose(grad.sum(-1), 0, atol=1e-12)
        np.testing.assert_allclose((grad * x).sum(-1), 0, atol=1e-12)


def test_rms_norm_is_layer_norm_without_the_mean() -> None:
    x, scale = jax.random.normal(jax.random.key(1), (3, 8)), jnp.linspace(0.5, 2, 8)
    centred = x - x.mean(-1, keepdims=True)
    np.testing.assert_allclose(
        rms_norm(centred, scale, 1e-5), layer_norm(x, scale, jnp.zeros(8)), rtol=1e-5, atol=1e-6
    )
    # a mean that is not 0 stays
    np.testing.assert_allclose((rms_norm(x + 3, jnp.ones(8), 0.0) ** 2).mean(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(rms_norm(-7 * x, scale, 0.0), -rms_norm(x, scale, 0.0), rtol=1e-5)


def test_mixed_types_keep_the_parameters_gradients_in_full_precision() -> None:
    x = jnp.ones((2, 4), jnp.bfloat16) * jnp.arange(4, dtype=jnp.bfloat16)[None]
    grads = jax.grad(lambda *a: layer_norm(*a).astype(jnp.float32).sum(), argnums=(0, 1, 2))(
        x, jnp.ones(4), jnp.zeros(4)
    )
    assert [g.dtype for g in grads] == [jnp.bfloat16, jnp.float32, jnp.float32]
    np.testing.assert_allclose(grads[2], 2)


def test_batch_statistics_shared_by_devices_give_the_global_gradient(
    devices: list[jax.Device],
) -> None:
    """Each device holds two of eight examples; its gradient to them goes through everybody's mean
    and variance.
    """
    x, weight = (
        jnp.asarray(a, jnp.float32) for a in np.random.default_rng(0).standard_normal((2, 8, 3)) + 2
    )
    scale, bias = jnp.array([1.0, 2.0, 3.0]), jnp.zeros(3)

    def grads(x: jax.Array, weight: jax.Array, axis: str | None = None) -> tuple[jax.Array, ...]:
        loss = lambda *a: (batch_norm(*a, EPS, axis)[0] * weight).sum()  # noqa: E731
        dx, dscale, dbias = jax.grad(loss, argnums=(0, 1, 2))(x, scale, bias)
        return dx, *((dscale, dbias) if axis is None else jax.lax.psum((dscale, dbias), axis))

    mesh = sharding.layout("shard_map", "data=4", devices[:4]).mesh
    mapped = jax.shard_map(
        lambda x, w: grads(x, w, "data"),
        mesh=mesh,
        in_specs=P("data"),
        out_specs=(P("data"), P(), P()),
        check_vma=False,
    )
    for found, expected in zip(
        jax.block_until_ready(jax.jit(mapped)(x, weight)), jax.jit(grads)(x, weight), strict=True
    ):
        np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-4, atol=1e-5)
