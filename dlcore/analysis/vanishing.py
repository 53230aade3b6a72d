"""Vanishing and exploding gradients of recurrent networks, as a plot over time steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.data.source import Source
from dlcore.models.rnn import Reader
from dlcore.samples import Plot, Sample, Series
from dlcore.sharding import Tree
from dlcore.train.step import State


def through_time(
    advance: Callable[[Array, Array], Array],
    loss: Callable[[Array], Array],
    carry: Array,
    inputs: Array,
) -> Array:
    """Computes the batch's mean of the L2 norm |d loss / d state_t| at each time step t.

    A zero is added to each state, and the loss differentiated with respect to it.

    Args:
        advance: (state [batch, ...], input [batch, ...]) -> state.
        loss: last state -> loss of each example [batch].
        carry: first state [batch, ...].
        inputs: [length, batch, ...].

    Returns:
        float [length]; entry t, from 0, is that of the state after the input t.

    Source: Pascanu et al. 2013, eq. 5.
    """

    def total(offsets: Array) -> Array:
        def step(state: Array, x: tuple[Array, Array]) -> tuple[Array, None]:
            value, offset = x
            return advance(state, value) + offset, None

        return loss(jax.lax.scan(step, carry, (inputs, offsets))[0]).sum()

    slopes = jax.grad(total)(jnp.zeros((len(inputs), *carry.shape), carry.dtype))
    slopes = slopes.reshape(*slopes.shape[:2], -1)
    # Squares of tiny gradients underflow in float32 where the gradients do not: the norm is
    # computed relative to the largest entry.
    largest = jnp.abs(slopes).max(-1, keepdims=True)
    relative = slopes / jnp.where(largest > 0, largest, 1)
    return (largest[..., 0] * jnp.sqrt((relative**2).sum(-1))).mean(-1)


def figure(
    nets: Mapping[str, tuple[Reader, Tree]], x: np.ndarray, target: np.ndarray, title: str = ""
) -> Plot:
    """Plots `through_time` of the squared error over time steps, a line for each network.

    Args:
        nets: {name: (network with an RNN of one direction, its parameters)}.
        x: inputs [batch, length, n].
        target: of the first output, [batch].
        title: of the plot; "": a default one.
    """

    def slopes(net: Reader, params: Tree) -> Array:
        def advance(state: Array, x: Array) -> Array:
            return jnp.asarray(net.apply({"params": params}, state, x, method="advance"))

        def loss(state: Array) -> Array:
            return (
                jnp.asarray(net.apply({"params": params}, state, method="read"))[:, 0] - target
            ) ** 2

        return through_time(advance, loss, net.rnn.start(len(x)), jnp.asarray(x).swapaxes(0, 1))

    steps = np.arange(1, x.shape[1] + 1)
    lines = []
    for name, (net, params) in nets.items():
        size = np.asarray(jax.jit(lambda p, net=net: slopes(net, p))(params), np.float64)
        # 0 has no logarithm: a gap
        lines.append(Series(name, steps, np.where(size > 0, size, np.nan)))
    return Plot(
        title or "How much of the loss reaches the state of step t",
        "step t",
        "|d loss / d state_t|",
        tuple(lines),
        log_y=True,
    )


def samples(
    trained: Mapping[str, Reader],
    untrained: Mapping[str, Reader],
    source: Source,
    count: int = 64,
    model: str = "net",
) -> Callable[[State, Array], list[Sample]]:
    """Plots the gradient of the loss by time step, at initialisation and after training.

    Args:
        trained: {name: network}, each applied to the same parameters, `state.params[model]`.
        untrained: {name: network}, whose parameters are initialised anew from the key that the
            returned function receives.
        source: `x` [length, n] and `target`, a number; the first `count` examples are used.
        count: number of examples.
        model: name of the trained parameters in the state.

    Returns:
        (state, key) -> samples: one plot, see `figure`.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        batch = source.gather(np.arange(count))
        x, target = batch["x"], batch["target"]
        lines = {
            f"{name}, at the start": (net, jax.jit(net.init)(key, x)["params"])
            for name, net in untrained.items()
        }
        lines |= {f"{name}, trained": (net, state.params[model]) for name, net in trained.items()}
        return [figure(lines, x, target)]

    return draw
