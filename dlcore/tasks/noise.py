"""The Gaussian noise from which models generate: its temperature, and walks through it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Annotated

import jax
import numpy as np
from jax import Array

from dlcore.bounds import NonNegativeFloat, NonNegativeInt, Range

Draw = Callable[[Array, Sequence[int]], np.ndarray]
"""(key, shape [count, ...]) -> noise float32 of this shape."""


@dataclasses.dataclass(frozen=True)
class NoiseOptions:
    """Flags of `dlcore predict` for a model that generates from noise."""

    seed: Annotated[int, Range(0, 2**32 - 1)] = 0
    """seed of the draws"""
    temperature: NonNegativeFloat = 1.0
    """factor of the noise; below 1 the results are more alike, and have fewer failures"""
    walk: NonNegativeInt = 0
    """number of results from one random point of the latent space to the next, between which they
    change gradually (0: each result has a random point of its own)"""


def draw(options: NoiseOptions) -> Draw:
    """Returns (key, shape) -> noise: `normal` with the temperature and `walk` of the options.

    Args:
        options: its seed is not used.
    """
    return functools.partial(normal, temperature=options.temperature, walk=options.walk)


def normal(key: Array, shape: Sequence[int], temperature: float = 1.0, walk: int = 0) -> np.ndarray:
    """Draws standard normal noise, times a temperature; or a path through such points.

    A path interpolates between consecutive points z and z' by cos(a) z + sin(a) z', a from 0 to
    pi / 2, which is standard normal too; linear interpolation would have a smaller norm.

    Args:
        key: random key.
        shape: [count, ...].
        temperature: the standard deviation.
        walk: number of rows from one random point to the next; 0: every row is a random point.

    Returns:
        float32 [count, ...].
    """
    count, *rest = shape
    points = -(-count // walk) + 1 if walk else count
    z = np.asarray(jax.random.normal(key, (points, *rest)))
    if walk:
        first, part = np.divmod(np.arange(count), walk)
        angle = (np.pi / 2 * part / walk).reshape(-1, *[1] * len(rest))
        between = np.cos(angle) * z[first] + np.sin(angle) * z[first + 1]
        z = between.astype(np.float32)
    return z if temperature == 1 else np.float32(temperature) * z
