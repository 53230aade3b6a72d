"""Several random changes of each image, drawn from a list (RandAugment)."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer, PRNGKeyArray

from dlcore.kernels import augment, colours, rotation
from dlcore.kernels.random import per_example

# at a magnitude of 1
_DEGREES = 30.0
_SHIFT = 0.3  # of the shorter side
_JITTER = 0.9


def randaugment(
    key: PRNGKeyArray,
    row: Integer[Array, " batch"],
    images: Float[Array, "batch h w c"],
    operations: int,
    magnitude: float = 0.5,
) -> Float[Array, "batch h w c"]:
    """Applies `operations` random changes to each image, one after the other.

    Each is drawn independently of the others, with probability 1/4, from: a reflection with
    probability 1/2, a shift, a rotation, and a jitter of brightness, contrast and saturation (of
    grey images without saturation): `augment.random_flip` and `random_shift`,
    `rotation.random_rotation` and `colours.colour_jitter`. The strength of the last three is random
    up to a limit in proportion to the magnitude: at 1, 30 % of the shorter side, 30 degrees, and
    factors of 1 +- 0.9.

    Args:
        key: random key of the step.
        row: each example's index in the global batch [batch].
        images: [batch, h, w, 1 or 3] in [0, 1], floating.
        operations: number of changes.
        magnitude: in [0, 1].

    Returns:
        Shape and dtype of `images`.

    Raises:
        ValueError: a magnitude outside [0, 1], or another number of channels.

    Source: Cubuk et al. 2020, sec. 3, with fewer kinds of changes.
    """
    if not 0 <= magnitude <= 1:
        raise ValueError(f"a magnitude is in [0, 1], not {magnitude}")
    changes = _changes(images.shape[1:], magnitude)

    def change(k: Array, image: Array) -> Array:
        number = jax.random.randint(jax.random.fold_in(k, 0), (), 0, len(changes))
        return jax.lax.switch(number, changes, jax.random.fold_in(k, 1), image)

    for step in range(operations):
        images = per_example(change, jax.random.fold_in(key, step), row, images)
    return images


def _changes(shape: tuple[int, ...], magnitude: float) -> list[Callable[[Array, Array], Array]]:
    """(key, image) -> image, each."""
    height, width, channels = shape
    pixels = round(_SHIFT * magnitude * min(height, width))
    strength = _JITTER * magnitude
    of_batch: list[Callable[[Array, Array, Array], Array]] = [
        augment.random_flip,
        lambda k, row, x: augment.random_shift(k, row, x, pixels),
        lambda k, row, x: rotation.random_rotation(k, row, x, _DEGREES * magnitude),
        lambda k, row, x: colours.colour_jitter(
            k, row, x, strength, strength, strength * (channels == 3)
        ),
    ]

    def of_one(kernel: Callable[[Array, Array, Array], Array]) -> Callable[[Array, Array], Array]:
        return lambda k, image: kernel(k, jnp.zeros(1, jnp.int32), image[None])[0]

    return [of_one(kernel) for kernel in of_batch]
