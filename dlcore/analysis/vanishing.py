"""How much of a loss reaches the states of long ago: the figure of vanishing and exploding
gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.data.source import Source
from dlcore.models.rnn import Reader
from dlcore.samples import Plot, Sample, Series
from dlcore.train.step import State


def through_time(
    advance: Callable[[Array, Array], Array],
    loss: Callable[[Array], Array],
    carry: Array,
    inputs: Array,
) -> Array:
    """[length]: the mean over the batch of |d loss / d state_t|, the state after step t (Pascanu et
    al. 2013, eq. 5).

    advance (state [batch, ...], input [batch, ...]) -> state; loss (last state) -> [batch], one for
    each sequence; carry: the first state; inputs [length, batch, ...]. A zero is added to each
    state, and the loss differentiated by it.
    """

    def total(nudges: Array) -> Array:
        def step(state: Array, x: tuple[Array, Array]) -> tuple[Array, None]:
            given, nudge = x
            return advance(state, given) + nudge, None

        return loss(jax.lax.scan(step, carry, (inputs, nudges))[0]).sum()

    slopes = jax.grad(total)(jnp.zeros((len(inputs), *carry.shape), carry.dtype))
    slopes = slopes.reshape(*slopes.shape[:2], -1)
    # Squares of what this is about leave float32 long before the numbers do: they are taken
    # relative to the largest.
    largest = jnp.abs(slopes).max(-1, keepdims=True)
    relative = slopes / jnp.where(largest > 0, largest, 1)
    return (largest[..., 0] * jnp.sqrt((relative**2).sum(-1))).mean(-1)


def figure(
    nets: Mapping[str, tuple[Reader, Any]], x: np.ndarray, target: np.ndarray, title: str = ""
) -> Plot:
    """`through_time` of the squared error, for readers and their parameters: x [batch, length, n],
    target [batch].
    """

    def slopes(net: Reader, params: Any) -> Array:
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
        # below the smallest number there is no logarithm
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
    """The figure of vanishing gradients: of networks at their initialisation, and of the trained
    one.

    Args:
        trained: {name: the network whose parameters the state has}.
        untrained: {name: networks with fresh parameters}.
        source: examples with `x` [length, n] and `target`.
        count: how many of them.
        model: the name of the trained network's parameters.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        batch = source.gather(np.arange(count))
        x, target = batch["x"], batch["target"]
        lines = {
            f"{name}, at the start": (net, net.init(key, x)["params"])
            for name, net in untrained.items()
        }
        lines |= {f"{name}, trained": (net, state.params[model]) for name, net in trained.items()}
        return [figure(lines, x, target)]

    return draw
