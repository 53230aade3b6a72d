"""Predictors of frames: an untrained one copies, nothing sees the future, the cell by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.models.convlstm import ConvLSTM, ConvLSTMCell, Convolutional
from tests.models.compiled import apply, init

pytestmark = pytest.mark.slow

NETS = {
    "convlstm": ConvLSTM(3, (4, 5), patch=2),
    "convolutional": Convolutional(3, 4, 8, (1, 1), patch=2),
}


def video(frames: int = 4) -> jax.Array:
    return jax.random.uniform(jax.random.key(0), (2, frames, 8, 12, 1))


@pytest.mark.parametrize("name", NETS)
def test_an_untrained_network_copies_the_last_frame(name: str) -> None:
    net, x = NETS[name], video()
    y = apply(net, init(net, jax.random.key(1), x), x)
    assert y.shape == (2, 3, 8, 12, 1)
    np.testing.assert_allclose(y, np.repeat(x[:, -1:], 3, 1), atol=1e-6)


@pytest.mark.parametrize("name", NETS)
def test_examples_are_independent_and_every_given_frame_counts(name: str) -> None:
    net, x = NETS[name], video()
    variables = init(net, jax.random.key(1), x)
    variables = jax.tree.map(
        lambda p: p + 0.1 * jax.random.normal(jax.random.key(2), p.shape), variables
    )
    y = apply(net, variables, x)
    np.testing.assert_allclose(apply(net, variables, x[1:]), y[1:], atol=1e-5)
    for frame in range(4):
        changed = apply(net, variables, x.at[:, frame].add(0.5))
        assert float(jnp.abs(changed - y).max()) > 1e-4, frame


def test_the_cell_computes_what_its_equations_say() -> None:
    """On one pixel a 1x1 cell is an LSTM, here by hand."""
    cell = ConvLSTMCell(1, 1)
    x, state = jnp.full((1, 1, 1, 1), 0.5), (jnp.full((1, 1, 1, 1), 0.2),) * 2
    kernel = np.array([[0.1, -0.2, 0.3, 0.4], [0.5, 0.6, -0.7, 0.8]], np.float32)
    bias = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    variables = {"params": {"gates": {"kernel": kernel, "bias": bias}}}
    (after, hidden), _ = apply(cell, variables, state, x)
    into, forget, out, new = np.array([0.5, 0.2]) @ kernel + bias
    sigmoid = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    expected = sigmoid(forget + 1) * 0.2 + sigmoid(into) * np.tanh(new)
    np.testing.assert_allclose(after, np.full((1, 1, 1, 1), expected), rtol=1e-5)
    np.testing.assert_allclose(hidden[0, 0, 0, 0], sigmoid(out) * np.tanh(expected), rtol=1e-5)


def test_patches_are_a_convolution() -> None:
    """The gates with a 3x3 kernel equal a convolution with zeros outside."""
    cell = ConvLSTMCell(2, 3)
    x = jax.random.normal(jax.random.key(0), (1, 5, 6, 3))
    state = (jnp.zeros((1, 5, 6, 2)),) * 2
    variables = init(cell, jax.random.key(1), state, x)
    (_, hidden), _ = apply(cell, variables, state, x)
    kernel = variables["params"]["gates"]["kernel"].reshape(3, 3, 5, 8)[:, :, :3]
    layout = ("NHWC", "HWIO", "NHWC")
    gates = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout)
    into, _, out, new = jnp.split(gates, 4, -1)
    expected = jax.nn.sigmoid(out) * jnp.tanh(jax.nn.sigmoid(into) * jnp.tanh(new))
    np.testing.assert_allclose(hidden, expected, atol=1e-5)
