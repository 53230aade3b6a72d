"""The inputs of image models: pixels of a batch as floating-point numbers (`Model(inputs=...)`)."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, PRNGKeyArray, Shaped

from dlcore.data.sets.images import View, as_sequence, permutation
from dlcore.kernels.lighting import local_contrast
from dlcore.train.model import Inputs
from dlcore.train.step import Batch


def unit(
    batch: Batch, key: PRNGKeyArray | None, train: bool
) -> Float[Array, "batch height width c"]:
    """Returns `image`, uint8 [batch, height, width, channels], as float32 in [0, 1]."""
    return to_unit(batch["image"])


def signed(
    batch: Batch, key: PRNGKeyArray | None, train: bool
) -> Float[Array, "batch height width c"]:
    """Returns `image`, uint8 [batch, height, width, channels], as float32 in [-1, 1]."""
    return to_signed(batch["image"])


def to_unit(image: Shaped[Array, ...]) -> Float[Array, ...]:
    """Scales pixels, [...] in [0, 255], to float32 in [0, 1]; float64 under `jax_enable_x64`."""
    return image.astype(jnp.result_type(float)) / 255


def to_signed(image: Shaped[Array, ...]) -> Float[Array, ...]:
    """Scales pixels, [...] in [0, 255], to float32 in [-1, 1]; float64 under `jax_enable_x64`."""
    return image.astype(jnp.result_type(float)) / 127.5 - 1


def standardised(*neighbourhoods: float, floor: float = 0.1) -> Inputs:
    """Returns `inputs` of a `Model` that are standardised images, without effects of exposure.

    Args:
        neighbourhoods: standard deviations, in pixels, of Gaussian windows by whose statistics the
            logarithm of each pixel is standardised (`kernels.lighting.local_contrast`), which
            evens out the light; 0: an image is standardised by its own mean and deviation. Each
            gives an image, and these are stacked as channels. None: as one 0.
        floor: as of `local_contrast`.

    Returns:
        (batch, key, train) -> floats [batch, height, width, channels max(1, len(neighbourhoods))]
        of `image` in [0, 255].
    """

    def of_images(x: Array, neighbourhood: float) -> Array:
        if neighbourhood:
            return local_contrast(jnp.log1p(x), neighbourhood, floor)
        x = x - x.mean((1, 2, 3), keepdims=True)
        return x * jax.lax.rsqrt((x * x).mean((1, 2, 3), keepdims=True) + 1.0)

    def of_batch(batch: Batch, key: Array | None, train: bool) -> Array:
        x = batch["image"].astype(float)  # float64 where JAX has it, else float32
        return jnp.concatenate([of_images(x, each) for each in neighbourhoods or (0.0,)], -1)

    return of_batch


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
