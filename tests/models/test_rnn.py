"""Recurrent networks: directions, carries, padding, initialisation."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.models.rnn import RNN, Reader, Recurrent
from tests.models.compiled import apply, init

pytestmark = pytest.mark.slow

CELLS = ["elman", "lstm", "gru"]
FEW = [pytest.param("elman", marks=pytest.mark.nightly), "lstm", "gru"]
X = jnp.asarray(np.random.default_rng(0).standard_normal((2, 6, 3)), jnp.float32)


def made(net: Any, *args: Any) -> Any:
    return init(net, jax.random.key(0), *args)


@pytest.mark.parametrize("cell", CELLS)
def test_two_halves_with_the_carry_handed_on_are_the_whole(cell: Any) -> None:
    net = RNN(cell, 4, layers=2)
    variables = made(net, X)
    whole, last = apply(net, variables, X)
    first, carry = apply(net, variables, X[:, :2])
    second, end = apply(net, variables, X[:, 2:], carry=carry)
    np.testing.assert_allclose(jnp.concatenate([first, second], 1), whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(end, last, rtol=1e-5, atol=1e-6)


def test_both_directions_see_the_end_at_the_beginning_and_one_does_not() -> None:
    changed = X.at[:, -1].add(1.0)
    for both in (False, True):
        net = RNN("gru", 4, bidirectional=both)
        variables = made(net, X)
        difference = np.abs(apply(net, variables, X)[0] - apply(net, variables, changed)[0])
        assert difference[:, 0, :4].max() == 0
        assert (difference[:, 0].max() > 1e-6) == both


def test_a_reader_of_both_directions_reads_where_each_of_them_ends() -> None:
    net = Reader(RNN("lstm", 4, bidirectional=True), outputs=3)
    params = made(net, X)["params"]
    one, head = RNN("lstm", 4), params["head"]
    ends = [
        apply(one, {"params": {"layer_0": params["rnn"][name]}}, x)[0][:, -1]
        for name, x in (("layer_0", X), ("layer_0_back", X[:, ::-1]))
    ]
    want = jnp.concatenate(ends, -1) @ head["kernel"] + head["bias"][None]
    np.testing.assert_allclose(apply(net, {"params": params}, X), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("both", [pytest.param(False, marks=pytest.mark.nightly), True])
@pytest.mark.parametrize("cell", FEW)
def test_a_padded_batch_is_its_sequences_alone(cell: Any, both: bool) -> None:
    net = Reader(RNN(cell, 4, layers=2, bidirectional=both), outputs=3)
    variables = made(net, X)
    mask = jnp.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]], jnp.float32)
    padded = apply(net, variables, X.at[1, 4:].set(jnp.nan), mask=mask)
    np.testing.assert_allclose(padded[0], apply(net, variables, X[:1])[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(padded[1], apply(net, variables, X[1:, :4])[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cell", FEW)
def test_nan_in_the_padding_reaches_no_gradient(cell: Any) -> None:
    """Those of a padded batch are those of its sequences alone, and finite: the input kernel's and
    the inputs' too.
    """
    net = Reader(RNN(cell, 4, bidirectional=True), outputs=3)
    params = made(net, X)["params"]
    mask = jnp.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]], jnp.float32)

    def loss(params: Any, x: jax.Array, mask: Any = None) -> jax.Array:
        return (apply(net, {"params": params}, x, mask=mask) ** 2).sum()

    padded, of_x = jax.jit(jax.grad(loss, (0, 1)))(params, X.at[1, 4:].set(jnp.nan), mask)
    alone = jax.jit(jax.grad(lambda p: loss(p, X[:1]) + loss(p, X[1:, :4])))(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), padded, alone)
    np.testing.assert_array_equal(of_x[1, 4:], 0)
    assert np.isfinite(of_x).all()


@pytest.mark.parametrize("cell", CELLS)
def test_step_by_step_is_the_sequence(cell: Any) -> None:
    net = Reader(RNN(cell, 4), outputs=3)
    variables = made(net, X)
    carry = net.rnn.start(2)
    for t in range(X.shape[1]):
        carry = apply(net, variables, carry, X[:, t], method="advance")
    np.testing.assert_allclose(
        apply(net, variables, carry, method="read"), apply(net, variables, X), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(("cell", "gates"), [("elman", 1), ("lstm", 4), ("gru", 3)])
def test_recurrent_kernels_are_orthogonal_gate_by_gate_times_their_gain(
    cell: Any, gates: int
) -> None:
    kernel = made(Recurrent(cell, 5, gain=1.5), X.swapaxes(0, 1), None)["params"]["kernel"]
    for gate in np.split(np.asarray(kernel), gates, 1):
        np.testing.assert_allclose(gate @ gate.T, 2.25 * np.eye(5), atol=1e-5)


def test_biases_of_the_gates_that_keep() -> None:
    def bias(cell: Any, **more: Any) -> np.ndarray:
        return np.asarray(
            made(Recurrent(cell, 200, **more), X.swapaxes(0, 1), None)["params"]["input"]["bias"]
        ).reshape(-1, 200)

    np.testing.assert_array_equal(bias("lstm", forget=2.0)[:, 0], [0, 2, 0, 0])
    np.testing.assert_array_equal(bias("gru", forget=2.0)[:, 0], [0, 2, 0])
    np.testing.assert_array_equal(bias("elman"), 0)
    chrono = bias("lstm", memory=50)
    np.testing.assert_array_equal(chrono[0], -chrono[1])
    # sigmoid(log u) = u / (1 + u): what is kept of a step ago, for u steps or so
    times = np.exp(chrono[1])
    assert 1 <= times.min() < 3
    assert 45 < times.max() <= 49.1


def test_dropout_lies_between_layers_in_training_and_nowhere_else() -> None:
    key, row = {"dropout": jax.random.key(1)}, jnp.arange(len(X))

    def states(layers: int, dropout: float, train: bool) -> Any:
        net = RNN("elman", 4, layers=layers, dropout=dropout)
        return jax.jit(lambda x: net.apply(made(net, x), x, train=train, row=row, rngs=key)[0])(X)

    for layers, train in ((1, True), (2, False)):
        np.testing.assert_array_equal(states(layers, 0.5, train), states(layers, 0.0, train))
    assert np.abs(states(2, 0.5, True) - states(2, 0.0, True)).max() > 1e-3
