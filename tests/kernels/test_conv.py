"""Convolutions: equal to a loop over places, whatever form runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels import conv as kernels
from dlcore.kernels.conv import conv, transposed_conv
from tests.kernels.case import Case, normals


def looped(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """What `conv` says, place after place."""
    kh, kw = kernel.shape[:2]
    around = np.pad(x, ((0, 0), ((kh - 1) // 2, kh // 2), ((kw - 1) // 2, kw // 2), (0, 0)))
    h, w = x.shape[1:3]
    return sum(around[:, i : i + h, j : j + w] @ kernel[i, j] for i, j in np.ndindex(kh, kw))


def scattered(stride: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Each place of x adds its kernel, turned by half a circle, to the output; then the edges are
    cut.
    """

    def spread(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        (batch, h, w, _), (kh, kw, _, o) = x.shape, kernel.shape
        y = np.zeros((batch, stride * h + kh, stride * w + kw, o))
        for i, j, s, t in np.ndindex(h, w, kh, kw):
            y[:, stride * i + s, stride * j + t] += x[:, i, j] @ kernel[kh - 1 - s, kw - 1 - t]
        top, left = ((k - stride) // 2 for k in (kh, kw))
        return y[:, top : top + stride * h, left : left + stride * w]

    return spread


def _edge(value: float, n: int, o: int) -> tuple[np.ndarray, np.ndarray]:
    x, kernel = np.zeros((1, 3, 4, n)), np.ones((3, 3, n, o))
    x[0, 1, 2] = value
    return x, kernel


def _edges(n: int, o: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    single = (np.full((1, 1, 1, n), 2.0), np.ones((3, 3, n, o)))
    return {
        "one pixel": single,
        "huge": _edge(1e30, n, o),
        "tiny": _edge(1e-30, n, o),
        "nothing": _edge(0.0, n, o),
    }


def _case(c: int, o: int, h: int = 3, w: int = 3) -> Case:
    return Case(conv, looped, normals((2, 4, 5, c), (h, w, c, o)), grads=(0, 1), edges=_edges(c, o))


CASES = {
    "conv:few in": _case(2, 3),
    "conv:few out": _case(5, 2),
    "conv:one": _case(1, 1),
    "conv:many": _case(5, 6),
    "conv:5x3": _case(1, 3, 5, 3),
    "conv:even": _case(2, 3, 2, 4),
    "conv:1x1": _case(7, 9, 1, 1),
    "transposed_conv": Case(
        transposed_conv,
        scattered(2),
        normals((2, 3, 4, 3), (4, 4, 3, 2)),
        grads=(0, 1),
        edges=_edges(2, 3),
    ),
    "transposed_conv:5x3": Case(
        transposed_conv, scattered(2), normals((2, 3, 4, 3), (5, 3, 3, 2)), grads=(0, 1)
    ),
    "transposed_conv:3": Case(
        lambda x, k: transposed_conv(x, k, 3),
        scattered(3),
        normals((2, 3, 2, 2), (3, 4, 2, 2)),
        grads=(0, 1),
    ),
    "transposed_conv:1": Case(
        lambda x, k: transposed_conv(x, k, 1),
        looped,
        normals((2, 3, 2, 2), (3, 3, 2, 2)),
        grads=(0, 1),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("c", "o"), [(1, 8), (4, 8), (8, 1), (8, 8)])
def test_conv_is_the_layer_of_flax(c: int, o: int) -> None:
    x, kernel = (
        jnp.asarray(a, jnp.float32)
        for a in normals((2, 6, 6, c), (3, 3, c, o))(np.random.default_rng(0))
    )

    def layer(x: Any, kernel: Any) -> Any:
        return nn.Conv(o, (3, 3), use_bias=False).apply({"params": {"kernel": kernel}}, x)

    for slopes in zip(
        *(jax.vjp(f, x, kernel)[1](layer(x, kernel)) for f in (conv, layer)), strict=True
    ):
        np.testing.assert_allclose(*slopes, rtol=1e-4, atol=1e-3)


@pytest.mark.slow
def test_a_slope_of_a_slope_runs() -> None:
    x, kernel = (
        jnp.asarray(a, jnp.float32)
        for a in normals((1, 4, 4, 1), (3, 3, 1, 6))(np.random.default_rng(0))
    )

    def penalty(f: Callable[..., jax.Array]) -> jax.Array:
        return jax.jit(
            jax.grad(lambda kernel: (jax.grad(lambda x: (f(x, kernel) ** 3).sum())(x) ** 2).sum())
        )(kernel)

    np.testing.assert_allclose(penalty(conv), penalty(kernels._xla), rtol=1e-3, atol=1e-1)


@pytest.mark.slow
def test_both_forms_are_chosen_by_shape() -> None:
    def text(c: int, o: int) -> str:
        return jax.jit(conv).lower(jnp.ones((1, 4, 4, c)), jnp.ones((3, 3, c, o))).as_text()

    assert [("convolution" in text(c, o)) for c, o in ((1, 8), (8, 4), (8, 8))] == [
        False,
        False,
        True,
    ]


def test_gaps_are_refused() -> None:
    with pytest.raises(ValueError, match="leaves gaps at a stride of 3"):
        transposed_conv(jnp.ones((1, 2, 2, 1)), jnp.ones((2, 2, 1, 1)), 3)
