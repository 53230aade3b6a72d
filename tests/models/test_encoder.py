"""The encoder: equal to the textbook in float64, sees both ways, and padding, batch and order of
the keys change nothing.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.models.encoder import Encoder, Size
from tests.kernels import test_activations, test_attention, test_norm
from tests.models.compiled import apply, init

pytestmark = pytest.mark.slow

ROTARY = Size(layers=2, heads=2, width=8)
LEARNED = dataclasses.replace(ROTARY, positions="learned", context=6)
SETS = dataclasses.replace(ROTARY, positions="none")
each_size = pytest.mark.parametrize(
    "size", [ROTARY, LEARNED, SETS], ids=lambda size: size.positions
)
X = np.random.default_rng(0).standard_normal((3, 6, 8)).astype(np.float32)
SEEN = np.arange(6)[None] < np.array([[6], [4], [1]])


@functools.cache
def params(size: Size) -> Any:
    """Parameters large enough that every part matters."""
    shape = jax.eval_shape(lambda: Encoder(size).init(jax.random.key(0), X))["params"]
    generator = np.random.default_rng(1)
    return jax.tree.map(
        lambda x: np.float32(generator.standard_normal(x.shape) * 0.5 + (x.ndim == 1)), shape
    )


@functools.partial(jax.jit, static_argnums=0)
def run(size: Size, x: Any, seen: Any = None) -> jax.Array:
    """The encoder in evaluation."""
    return apply(Encoder(size), {"params": params(size)}, x, seen)  # type: ignore[return-value]


def textbook(size: Size, x: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """One forward pass in float64, from the formulas."""
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params(size))
    norm = lambda x, part: test_norm.reference(x, part["scale"], part["bias"])  # noqa: E731
    x = x.astype(np.float64) + (
        p["positions"][None, : x.shape[1]] if size.positions == "learned" else 0
    )
    for layer in range(size.layers):
        block = p[f"block_{layer}"]
        qkv = np.split(norm(x, block["norm_attention"]) @ block["qkv"]["kernel"], 3, -1)
        q, k, v = (part.reshape(*x.shape[:2], size.heads, -1).swapaxes(1, 2) for part in qkv)
        if size.positions == "rotary":
            q, k = (
                np.stack(
                    [
                        [test_attention.turned(head, np.arange(len(head))) for head in own]
                        for own in a
                    ]
                )
                for a in (q, k)
            )
        attended = test_attention.of_seen(q, k, v, seen).swapaxes(1, 2).reshape(x.shape)
        x = x + attended @ block["out"]["kernel"]
        hidden = norm(x, block["norm_mlp"]) @ block["up"]["kernel"]
        x = x + test_activations.CASES["gelu"].reference(hidden) @ block["down"]["kernel"]
    return norm(x, p["norm"])


@each_size
def test_it_equals_the_textbook(size: Size) -> None:
    np.testing.assert_allclose(
        run(size, X, SEEN)[SEEN], textbook(size, X, SEEN)[SEEN], rtol=1e-4, atol=1e-4
    )


@each_size
def test_padding_changes_nothing(size: Size) -> None:
    together = run(size, X, SEEN)
    for i, length in enumerate(SEEN.sum(1)):
        np.testing.assert_allclose(
            together[i, :length], run(size, X[i : i + 1, :length])[0], rtol=1e-4, atol=1e-5
        )
    loud = np.where(SEEN[..., None], X, 1e3).astype(np.float32)
    np.testing.assert_array_equal(run(size, loud, SEEN)[SEEN], together[SEEN])


@each_size
def test_an_example_does_not_see_its_neighbours(size: Size) -> None:
    other = X.copy()
    other[1:] = 7 * X[1:] + 1
    np.testing.assert_array_equal(run(size, other, SEEN)[0], run(size, X, SEEN)[0])


def test_every_token_sees_those_before_and_after_it() -> None:
    for place in (0, 5):
        grad = jax.grad(lambda x, place=place: (run(ROTARY, x)[:, place] * X[:, 0]).sum())(
            jnp.asarray(X)
        )
        assert (np.abs(np.asarray(grad)).max(-1) > 1e-6).all()


def test_without_positions_the_order_of_tokens_is_nothing_and_with_them_something() -> None:
    order = np.array([3, 1, 5, 0, 2, 4])
    np.testing.assert_allclose(run(SETS, X[:, order]), run(SETS, X)[:, order], rtol=1e-4, atol=1e-5)
    for size in (ROTARY, LEARNED):
        assert np.abs(run(size, X[:, order]) - run(size, X)[:, order]).max() > 1e-2


def test_dropout_belongs_to_the_row_and_rematerialisation_changes_nothing() -> None:
    size = dataclasses.replace(ROTARY, dropout=0.5)

    def drop(x: np.ndarray, row: list[int], **other: Any) -> np.ndarray:
        net = Encoder(dataclasses.replace(size, **other))
        rngs = {"dropout": jax.random.key(2)}
        return np.asarray(
            apply(net, {"params": params(ROTARY)}, x, train=True, row=jnp.array(row), rngs=rngs)
        )

    whole = drop(X, [0, 1, 2])
    np.testing.assert_allclose(drop(X[1:], [1, 2]), whole[1:], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(drop(X, [0, 1, 2], remat=True), whole, rtol=1e-5, atol=1e-6)
    assert np.abs(drop(X, [5, 6, 7]) - whole).max() > 1e-2


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="3 heads do not divide a width of 8"):
        Size(layers=1, heads=3, width=8)
    with pytest.raises(ValueError, match="learned positions need a context"):
        Size(layers=1, heads=2, width=8, positions="learned")
    with pytest.raises(ValueError, match="7 tokens are more than the 6 learned positions"):
        init(Encoder(LEARNED), jax.random.key(0), jnp.zeros((1, 7, 8)))
