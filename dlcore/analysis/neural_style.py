"""Style transfer by optimising the pixels of one picture (Gatys et al. 2016): the reference."""

from __future__ import annotations

from collections.abc import Callable
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
        curve: total loss before each iteration, then that of `image`, [iterations + 1].
        losses: {name: loss} of `image`.
    """

    image: np.ndarray
    curve: np.ndarray
    losses: dict[str, float]


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
    def update(image: Array, state: optax.OptState) -> tuple[Array, optax.OptState, Array]:
        total, pull = jax.vjp(lambda x: losses(x)["total"], image)
        (slope,) = pull(jnp.ones_like(total))
        change, state = optimizer.update(slope, state)
        return jnp.clip(image + change, 0, 1), state, total

    image = jnp.asarray(photograph, jnp.float32)[None]
    state, curve, best = optimizer.init(image), [], (np.inf, image)
    for _ in range(iterations):
        after, state, total = update(image, state)
        curve.append(float(total))
        best = min(best, (curve[-1], image), key=lambda each: each[0])
        image = after
    final = {name: float(value) for name, value in jax.jit(losses)(image).items()}
    if final["total"] > best[0]:
        image = best[1]
        final = {name: float(value) for name, value in jax.jit(losses)(image).items()}
    return Optimised(np.asarray(image[0]), np.array([*curve, final["total"]]), final)
