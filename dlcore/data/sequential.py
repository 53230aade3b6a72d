"""Images as sequences: MNIST read piece by piece."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax import Array

View = Literal["rows", "patches", "pixels"]
STEPS: dict[View, int] = {"rows": 28, "patches": 196, "pixels": 784}
_SEED = 92916


def as_sequence(image: Array, view: View, order: np.ndarray | None = None) -> Array:
    """[batch, 28, 28, 1] as [batch, steps, numbers a step], in the order of reading, or that of `order` [steps].

    rows: 28 steps of 28 pixels; patches: 14 x 14 steps of the 4 pixels of a 2x2 patch; pixels: 784 steps of 1.
    """
    batch = image.shape[0]
    if view == "patches":
        image = jnp.reshape(image, (batch, 14, 2, 14, 2)).swapaxes(2, 3)
    pieces = jnp.reshape(image, (batch, STEPS[view], -1))
    return pieces if order is None else pieces[:, order]


def permutation(view: View) -> np.ndarray:
    """The one fixed order of the permuted task (Le et al. 2015, sec. 4.2)."""
    return np.random.RandomState(_SEED).permutation(STEPS[view])  # its stream is frozen for good
