"""Gradients through time: a linear network, whose powers are known, and the plain one beside the
gated ones.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.analysis.vanishing import figure, samples, through_time
from dlcore.data.sets import longmemory
from dlcore.models.rnn import RNN, Reader
from dlcore.samples import Plot
from dlcore.sharding import Tree
from dlcore.train.step import State

pytestmark = pytest.mark.slow


def test_a_linear_network_has_the_powers_of_its_matrix() -> None:
    """state_t = state_{t-1} A + x_t and a loss of w . state_T: the gradient at t is A^(T-t) w,
    whatever the input.
    """
    with jax.enable_x64(True):
        generator = np.random.default_rng(0)
        a, w, x = (generator.standard_normal(shape) for shape in ((4, 4), (4,), (6, 3, 4)))
        found = through_time(
            lambda s, x: s @ a + x, lambda s: s @ w, jnp.zeros((3, 4)), jnp.asarray(x)
        )
        expected = [np.linalg.norm(np.linalg.matrix_power(a, 5 - t) @ w) for t in range(6)]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_rotation_keeps_the_norm_and_its_multiples_shrink_and_grow_it() -> None:
    turn = jnp.array([[0.6, 0.8], [-0.8, 0.6]])
    for size in (0.5, 1.0, 2.0):
        norm = through_time(
            lambda s, _, size=size: size * s @ turn,
            lambda s: s[:, 0],
            jnp.ones((1, 2)),
            jnp.zeros((8, 1, 2)),
        )
        np.testing.assert_allclose(norm, size ** np.arange(7.0, -1, -1), rtol=1e-5)


def test_norms_whose_squares_leave_float32_are_right() -> None:
    for size in (1e25, 1e-25):
        norm = through_time(
            lambda s, _: s,
            lambda s, size=size: size * (3 * s[:, 0] + 4 * s[:, 1]),
            jnp.ones((1, 2)),
            jnp.zeros((3, 1, 2)),
        )
        np.testing.assert_allclose(norm, 5 * size, rtol=1e-6)
    none = through_time(
        lambda s, _: s, lambda s: 0 * s[:, 0], jnp.ones((1, 2)), jnp.zeros((3, 1, 2))
    )
    np.testing.assert_array_equal(none, 0)


def test_the_figure_shows_vanishing_and_exploding() -> None:
    batch = longmemory.adding(60, "test", 100).gather(np.arange(4))
    x, target = batch["x"], batch["target"]
    nets = {
        "plain": Reader(RNN("elman", 16, gain=0.7), outputs=1),
        "gated": Reader(RNN("gru", 16, memory=60), outputs=1),
        "loud": Reader(RNN("elman", 64, gain=2.0), outputs=1),
    }
    plot = figure(
        {name: (net, net.init(jax.random.key(0), x)["params"]) for name, net in nets.items()},
        x,
        target,
    )
    assert plot.log_y
    first_over_last = {line.name: line.y[0] / line.y[-1] for line in plot.series}
    assert first_over_last["plain"] < 1e-6
    assert first_over_last["gated"] > 1e-2
    assert first_over_last["loud"] > 1e2
    assert all(len(line.x) == 60 and line.x[0] == 1 for line in plot.series)


def test_the_samples_show_new_parameters_and_those_of_the_state() -> None:
    source = longmemory.adding(12, "test", 8)
    batch = source.gather(np.arange(4))
    net = Reader(RNN("gru", 8), outputs=1)

    def params(seed: int) -> Tree:
        return net.init(jax.random.key(seed), batch["x"])["params"]

    draw = samples({"gated": net}, {"gated": net}, source, count=4)
    state = State(jnp.zeros((), jnp.int32), {"net": params(1)}, {}, {})
    (plot,) = draw(state, jax.random.key(2))
    assert isinstance(plot, Plot)
    assert [line.name for line in plot.series] == ["gated, at the start", "gated, trained"]
    for line, seed in zip(plot.series, (2, 1), strict=True):
        expected = figure({"": (net, params(seed))}, batch["x"], batch["target"]).series[0]
        np.testing.assert_allclose(line.y, expected.y, rtol=1e-4)
    assert np.abs(np.log(plot.series[0].y / plot.series[1].y)).max() > 0.01
