"""Random changes of brightness, contrast and saturation, inside the compiled step."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer, PRNGKeyArray

from dlcore.kernels.random import uniform

_GREY = (0.299, 0.587, 0.114)  # luma of red, green and blue (ITU-R BT.601)


def colour_jitter(
    key: PRNGKeyArray,
    row: Integer[Array, " batch"],
    images: Float[Array, "batch h w c"],
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
) -> Float[Array, "batch h w c"]:
    """Changes brightness, then contrast, then saturation of each image by a random factor.

    Each factor is uniform in 1 - s to 1 + s. The image is multiplied by that of brightness; its
    distance from its mean grey by that of contrast; its distance from its own grey by that of
    saturation. Images of one channel have no saturation.

    Args:
        key: random key of the step.
        row: each example's index in the global batch [batch].
        images: [batch, h, w, 1 or 3] in [0, 1], floating.
        brightness, contrast, saturation: s of each, in [0, 1].

    Returns:
        Shape and dtype of `images`, clipped to [0, 1].

    Raises:
        ValueError: s outside [0, 1], or another number of channels.

    Source: Howard 2013, sec. 2.
    """
    channels = images.shape[-1]
    if channels not in (1, 3) or not all(0 <= s <= 1 for s in (brightness, contrast, saturation)):
        raise ValueError(
            f"brightness, contrast and saturation are in [0, 1] and images have 1 or 3 channels,"
            f" not {brightness}, {contrast}, {saturation} and {channels}"
        )
    spread = jnp.asarray((brightness, contrast, saturation))
    factor = 1 + (2 * uniform(key, row, (3,)) - 1) * spread[None]
    bright, far, vivid = (factor[:, i, None, None, None].astype(images.dtype) for i in range(3))
    x = images * bright
    mean = _grey(x).mean((1, 2), keepdims=True)
    x = mean + (x - mean) * far
    grey = _grey(x)
    return jnp.clip(grey + (x - grey) * vivid, 0, 1)


def _grey(images: Array) -> Array:
    """[batch, h, w, 1], the luma of an image."""
    if images.shape[-1] == 1:
        return images
    weights = jnp.asarray(_GREY, images.dtype)[None, None, None]
    return (images * weights).sum(-1, keepdims=True)
