"""Style transfer by optimising the pixels of one picture (Gatys et al. 2016): the reference."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

# [1, h, w, 3] in [0, 1] -> {name: scalar}, of which "total" is minimised
Losses = Callable[[Array], dict[str, Array]]


class Optimised(NamedTuple):
    """The picture of an optimisation, with its losses.

    Attributes:
        image: the picture of smallest total loss, float32 [h, w, 3] in [0, 1].
        curves: {name: losses} before each iteration, and after the last, [iterations + 1].
        losses: {name: loss} of `image`.
        seconds: what the iterations took, after compilation.
    """

    image: np.ndarray
    curves: Mapping[str, np.ndarray]
    losses: dict[str, float]
    seconds: float


def optimise(
    losses: Losses, photograph: np.ndarray, iterations: int = 100, rate: float = 0.02
) -> Optimised:
    """Minimises a loss over the pixels of a picture by Adam, starting from the photograph.

    After each update pixels are clipped to [0, 1].

    Args:
        losses: pictures [1, h, w, 3] -> {name: scalar}, of which "total" is minimised.
        photograph: float32 [h, w, 3] in [0, 1].
        iterations: number of updates; each evaluates the loss and its gradient once.
        rate: of Adam, in units of pixel values; it falls to a tenth along a cosine.

    Returns:
        The picture of smallest total loss among the photograph and those after each update.
    """
    optimizer = optax.adam(optax.cosine_decay_schedule(rate, iterations, alpha=0.1))

    @jax.jit
    def update(
        image: Array, state: optax.OptState
    ) -> tuple[Array, optax.OptState, dict[str, Array]]:
        def total(x: Array) -> tuple[Array, dict[str, Array]]:
            found = losses(x)
            return found["total"], found

        value, pull, found = jax.vjp(total, image, has_aux=True)
        (slope,) = pull(jnp.ones_like(value))
        change, state = optimizer.update(slope, state)
        return jnp.clip(image + change, 0, 1), state, found

    image = jnp.asarray(photograph, jnp.float32)[None]
    state, rows, best = optimizer.init(image), [], (np.inf, image)
    evaluate = jax.jit(losses)
    jax.block_until_ready((update(image, state), evaluate(image)))  # compiled before the clock runs
    start = time.monotonic()
    for _ in range(iterations):
        after, state, found = update(image, state)
        rows.append(_numbers(found))
        best = min(best, (rows[-1]["total"], image), key=lambda each: each[0])
        image = after
    final = _numbers(evaluate(image))
    rows.append(final)
    if not final["total"] <= best[0]:  # larger, or NaN
        image = best[1]
        final = _numbers(evaluate(image))
    seconds = time.monotonic() - start
    curves = {name: np.array([row[name] for row in rows]) for name in final}
    return Optimised(np.asarray(image[0]), curves, final, seconds)


def _numbers(found: Mapping[str, Array]) -> dict[str, float]:
    return {name: float(value) for name, value in found.items()}
