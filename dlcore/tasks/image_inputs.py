"""The inputs of image models: pixels of a batch as floating-point numbers (`Model(inputs=...)`)."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, PRNGKeyArray, Shaped

from dlcore.data.sets.images import View, as_sequence, permutation
from dlcore.train.step import Batch


def unit(
    batch: Batch, key: PRNGKeyArray | None, train: bool
) -> Float[Array, "batch height width c"]:
    """Returns `image`, uint8 [batch, height, width, channels], as float32 in [0, 1]."""
    return batch["image"].astype(jnp.float32) / 255


def signed(
    batch: Batch, key: PRNGKeyArray | None, train: bool
) -> Float[Array, "batch height width c"]:
    """Returns `image`, uint8 [batch, height, width, channels], as float32 in [-1, 1]."""
    return to_signed(batch["image"])


def to_signed(image: Shaped[Array, ...]) -> Float[Array, ...]:
    """Scales pixels, [...] in [0, 255], to float32 in [-1, 1]."""
    return image.astype(jnp.float32) / 127.5 - 1


def sequence(view: View, permuted: bool) -> Callable[[Batch, Array | None, bool], Array]:
    """Returns the `inputs` of the `Model` of a network that reads images as sequences.

    Args:
        view: what a step of the sequence is, see `as_sequence`.
        permuted: whether the steps are permuted, by the same permutation for all images.

    Returns:
        (batch, key, train) -> float32 [batch, steps, numbers of a step] in [0, 1].
    """
    order = permutation(view) if permuted else None
    return lambda batch, key, train: as_sequence(unit(batch, key, train), view, order)
