"""Random changes of brightness, contrast, saturation and hue, inside the compiled step."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Integer, PRNGKeyArray

from dlcore.kernels.random import uniform

_GREY = (0.299, 0.587, 0.114)  # luma of red, green and blue (ITU-R BT.601)
# NTSC: one channel of brightness and two of colour.
_YIQ = np.array([_GREY, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112)])
_HIGHEST = jax.lax.Precision.HIGHEST


def colour_jitter(
    key: PRNGKeyArray,
    row: Integer[Array, " batch"],
    images: Float[Array, "batch h w c"],
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
) -> Float[Array, "batch h w c"]:
    """Changes brightness, then contrast, then saturation of each image by a random factor.

    Each factor is uniform in 1 - s to 1 + s. The factor of brightness multiplies the image, that of
    contrast its distance from the mean luma of the image, and that of saturation the distance of
    each pixel from its own luma. Images of one channel have no saturation.

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


def random_hue(
    key: PRNGKeyArray,
    row: Integer[Array, " batch"],
    images: Float[Array, "batch h w 3"],
    turns: float,
) -> Float[Array, "batch h w 3"]:
    """Rotates the hue of each image by an angle uniform in [-turns, turns] of a full turn.

    The two colour channels of YIQ are rotated, which unlike a rotation in HSV is linear and keeps
    the luma of each pixel, up to clipping.

    Args:
        key: random key of the step.
        row: each example's index in the global batch [batch].
        images: [batch, h, w, 3] in [0, 1], floating.
        turns: largest angle as a fraction of a full turn, 0 to 0.5.

    Returns:
        Shape and dtype of `images`, clipped to [0, 1].
    """
    dtype = jnp.promote_types(images.dtype, jnp.float32)
    angle = (2 * jnp.pi * turns * (2 * uniform(key, row) - 1)).astype(dtype)
    cos, sin, zero = jnp.cos(angle), jnp.sin(angle), jnp.zeros_like(angle)
    rows = ((zero + 1, zero, zero), (zero, cos, -sin), (zero, sin, cos))
    turn = jnp.stack([jnp.stack(each, -1) for each in rows], -2)
    to_yiq, from_yiq = (jnp.asarray(m, dtype) for m in (_YIQ, np.linalg.inv(_YIQ)))
    matrix = jnp.einsum("ij,bjk,kl->bil", from_yiq, turn, to_yiq, precision=_HIGHEST)
    turned = jnp.einsum("bij,bhwj->bhwi", matrix, images.astype(dtype), precision=_HIGHEST)
    return jnp.clip(turned, 0, 1).astype(images.dtype)


def random_grey(
    key: PRNGKeyArray,
    row: Integer[Array, " batch"],
    images: Float[Array, "batch h w c"],
    probability: float,
) -> Float[Array, "batch h w c"]:
    """Replaces all channels of an image by its luma, with a probability.

    Args:
        key: random key of the step.
        row: each example's index in the global batch [batch].
        images: [batch, h, w, 1 or 3], floating; images of one channel do not change.
        probability: that an image becomes grey, in [0, 1].

    Returns:
        Shape and dtype of `images`.
    """
    chosen = uniform(key, row)[:, None, None, None] < probability
    return jnp.where(chosen, jnp.broadcast_to(_grey(images), images.shape), images)


def _grey(images: Array) -> Array:
    """[batch, h, w, 1], the luma of an image."""
    if images.shape[-1] == 1:
        return images
    weights = jnp.asarray(_GREY, images.dtype)[None, None, None]
    return (images * weights).sum(-1, keepdims=True)
