"""Recurrent cells: what padding, direction and truncation mean, held against loops of NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from dlcore.kernels.recurrent import elman, gru, lstm
from tests.kernels.case import Arrays, Case

pytestmark = pytest.mark.slow

N = 3
# [batch, length]
PADDED = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]], np.float32)
Step = Callable[..., np.ndarray]


def elman_step(z: np.ndarray, state: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return np.tanh(z + state @ kernel)


def lstm_step(z: np.ndarray, state: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    h, c = np.split(state, 2, -1)
    i, f, g, o = np.split(z + h @ kernel, 4, -1)
    c = expit(f) * c + expit(i) * np.tanh(g)
    return np.concatenate([expit(o) * np.tanh(c), c], -1)


def gru_step(z: np.ndarray, state: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    (a, b, d), (r, u, m) = np.split(z, 3, -1), np.split(state @ kernel, 3, -1)
    r, u = expit(a + r), expit(b + u)
    return (1 - u) * np.tanh(d + r * (m + bias)) + u * state


def reference(
    step: Step, mask: np.ndarray | None = None, reverse: bool = False
) -> Callable[..., np.ndarray]:
    """Step by step, one sequence after the other: batch-major gates, then the carry, then
    weights.
    """

    def run(gates: np.ndarray, carry: np.ndarray, *weights: np.ndarray) -> np.ndarray:
        n, rows = len(weights[0]), []
        for b, state in enumerate(carry):
            hidden = np.zeros((gates.shape[1], n))
            for t in range(gates.shape[1])[:: -1 if reverse else 1]:
                if mask is None or mask[b, t]:
                    state = step(gates[b, t], state, *weights)
                hidden[t] = state[:n]
            rows.append(np.concatenate([hidden.reshape(-1), state]))
        return np.stack(rows)

    return run


def call(kernel: Any, mask: np.ndarray | None = None, **more: Any) -> Callable[..., jax.Array]:
    """The same arguments and one array: all hidden states and the last state, a row an example."""

    def run(gates: jax.Array, carry: jax.Array, *weights: jax.Array) -> jax.Array:
        hidden, last = kernel(
            gates.swapaxes(0, 1),
            *weights,
            carry,
            None if mask is None else jnp.asarray(mask.T),
            **more,
        )
        return jnp.concatenate([hidden.swapaxes(0, 1).reshape(len(last), -1), last], -1)

    return run


def inputs(gates: int, states: int, bias: bool = False) -> Callable[[np.random.Generator], Arrays]:
    def make(generator: np.random.Generator) -> Arrays:
        shapes = [(4, 5, gates * N), (4, states * N), (N, gates * N)] + [(N,)] * bias
        return tuple(generator.standard_normal(shape) for shape in shapes)

    return make


def edges(gates: int, states: int, bias: bool = False) -> dict[str, Arrays]:
    """Saturated gates, nothing at all, a single step."""
    x, carry, *weights = inputs(gates, states, bias)(np.random.default_rng(1))
    return {
        "saturated": (1e4 * np.sign(x), carry, *weights),
        "infinite": (
            np.where(np.arange(x.shape[-1]) % 2, np.inf, -np.inf) * np.ones_like(x),
            carry,
            *weights,
        ),
        "zeros": tuple(0 * a for a in (x, carry, *weights)),
        "one step": (x[:, :1], carry, *weights),
    }


CELLS: dict[str, tuple[Any, Step, tuple[int, int, bool]]] = {
    "elman": (elman, elman_step, (1, 1, False)),
    "lstm": (lstm, lstm_step, (4, 2, False)),
    "gru": (gru, gru_step, (3, 1, True)),
}
CASES = {}
for _name, (_kernel, _step, _sizes) in CELLS.items():
    _grads = (0, 1, 2, 3) if _sizes[2] else (0, 1, 2)
    _held: dict[str, Any] = {"grads": _grads, "batched": (0, 1), "bf16": 4e-2}
    CASES[_name] = Case(
        call(_kernel), reference(_step), inputs(*_sizes), edges=edges(*_sizes), **_held
    )
    _held["batched"] = ()  # the mask has its own rows
    for _reverse in (False, True):
        CASES[f"{_name}:padded{'_reverse' * _reverse}"] = Case(
            call(_kernel, PADDED, reverse=_reverse),
            reference(_step, PADDED, _reverse),
            inputs(*_sizes),
            **_held,
        )

each_cell = pytest.mark.parametrize("name", CELLS)


@each_cell
@pytest.mark.parametrize("reverse", [False, True])
def test_a_padded_sequence_is_the_sequence_alone(name: str, reverse: bool) -> None:
    """Outputs, last state and gradients are those of the sequence cut to its length, NaN in the
    padding or not.
    """
    kernel, _, sizes = CELLS[name]
    gates, carry, *weights = (
        jnp.asarray(x, jnp.float32) for x in inputs(*sizes)(np.random.default_rng(2))
    )
    mask, length = PADDED[1:2], 3

    def loss(gates: jax.Array, carry: jax.Array, weights: Any, mask: Any) -> jax.Array:
        hidden, last = kernel(gates, *weights, carry, mask, reverse=reverse)
        return (hidden[:length] ** 2).sum() + (last**3).sum()

    given, state = gates[1:2].swapaxes(0, 1), carry[1:2]
    grad = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))
    alone = grad(given[:length], state, weights, None)
    padded = grad(given.at[length:].set(jnp.nan), state, weights, jnp.asarray(mask.T))
    np.testing.assert_array_equal(padded[0][length:], 0)
    for a, b in zip(
        jax.tree.leaves((alone[0], alone[1:])),
        jax.tree.leaves((padded[0][:length], padded[1:])),
        strict=True,
    ):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)


@each_cell
@pytest.mark.parametrize("reverse", [False, True])
def test_truncation_is_chunks_with_a_stopped_gradient_between(name: str, reverse: bool) -> None:
    kernel, _, sizes = CELLS[name]
    gates, carry, *weights = (
        jnp.asarray(x, jnp.float32) for x in inputs(*sizes)(np.random.default_rng(3))
    )
    gates = gates.swapaxes(0, 1)

    def whole(gates: jax.Array, carry: jax.Array, weights: Any) -> tuple[jax.Array, jax.Array]:
        return kernel(gates, *weights, carry, reverse=reverse, truncation=2)

    def chunks(gates: jax.Array, carry: jax.Array, weights: Any) -> tuple[jax.Array, jax.Array]:
        parts = (
            [gates[4:], gates[2:4], gates[:2]]
            if not reverse
            else [gates[:1], gates[1:3], gates[3:]]
        )
        hidden = []
        for i, part in enumerate(reversed(parts)):
            some, carry = kernel(
                part, *weights, carry if i == 0 else jax.lax.stop_gradient(carry), reverse=reverse
            )
            hidden.append(some)
        return jnp.concatenate(hidden[::-1] if reverse else hidden), carry

    def states_and_slopes(f: Any) -> Any:
        def loss(*args: Any) -> Any:
            states = f(*args)
            return sum((x**3).sum() for x in states), states

        slopes, states = jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))(
            gates, carry, weights
        )
        return states, jax.tree.leaves(slopes)

    (states, one), (by_chunks, other), (_, full) = map(
        states_and_slopes, (whole, chunks, lambda g, c, w: kernel(g, *w, c, reverse=reverse))
    )
    for a, b in zip(states, by_chunks, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
    for a, b, c in zip(one, other, full, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        assert np.abs(a - c).max() > 1e-3, "truncation must change the gradient"


@pytest.mark.usefixtures("unchecked")
@each_cell
def test_what_does_not_fit_is_refused(name: str) -> None:
    kernel, _, sizes = CELLS[name]
    gates, carry, *weights = (
        jnp.asarray(x, jnp.float32) for x in inputs(*sizes)(np.random.default_rng(0))
    )
    gates = gates.swapaxes(0, 1)
    wrong: list[tuple[Any, ...]] = [
        (gates, *weights, carry[:, :-1]),
        (gates, *weights, carry[:-1]),
        (gates, weights[0][:-1], *weights[1:], carry),
        (gates, weights[0][:, :-1], *weights[1:], carry),
        (gates[:0], *weights, carry),
    ]
    if len(weights) > 1:
        wrong.append((gates, weights[0], weights[1][:-1], carry))
    for args in wrong:
        with pytest.raises(ValueError, match="do not fit"):
            kernel(*args)
    with pytest.raises(ValueError, match="truncation -1 is below 0"):
        kernel(gates, *weights, carry, truncation=-1)
    for shape in ((4, 5), (5, 3)):
        with pytest.raises(ValueError, match="a mask of"):
            kernel(gates, *weights, carry, jnp.ones(shape))
