"""Statistics of activations by which the style of a picture is measured and changed."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float


def gram(x: Float[Array, "batch h w channels"]) -> Float[Array, "batch channels channels"]:
    """Computes Gram matrices: the products of all pairs of channels, averaged over positions.

    Args:
        x: activations [batch, h, w, channels], floating.

    Returns:
        Symmetric matrices [batch, channels, channels], dtype of `x`; computed in float32 or wider.

    Source: Gatys et al. 2016, eq. 3, divided by the number of positions.
    """
    flat = _upcast(x).reshape(x.shape[0], -1, x.shape[-1])
    return (flat.swapaxes(1, 2) @ flat / flat.shape[1]).astype(x.dtype)


def _upcast(x: Array) -> Array:
    """Float32, or wider where `x` is: statistics over many positions need it."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def adain(
    content: Float[Array, "batch h w channels"],
    style: Float[Array, "batch height width channels"],
    eps: float = 1e-5,
) -> Float[Array, "batch h w channels"]:
    """Gives each channel of the content the mean and standard deviation that it has in the style.

    Args:
        content: activations [batch, h, w, channels], floating.
        style: activations of as many examples and channels, with any height and width.
        eps: added to both variances.

    Returns:
        Shape and dtype of `content`.

    Source: Huang & Belongie 2017, eq. 8.
    """
    mean, deviation = _moments(content, eps)
    style_mean, style_deviation = _moments(style, eps)
    styled = (_upcast(content) - mean) / deviation * style_deviation + style_mean
    return styled.astype(content.dtype)


def _moments(x: Array, eps: float) -> tuple[Array, Array]:
    """Mean and deviation over positions, [batch, 1, 1, channels] each, float32 or wider."""
    x = _upcast(x)
    mean = x.mean((1, 2), keepdims=True)
    return mean, jnp.sqrt(((x - mean) ** 2).mean((1, 2), keepdims=True) + eps)


def instance_norm(
    x: Float[Array, "batch h w channels"],
    scale: Float[Array, " channels"],
    bias: Float[Array, " channels"],
    eps: float = 1e-5,
) -> Float[Array, "batch h w channels"]:
    """Normalises each channel of each picture over its positions.

    Args:
        x: activations [batch, h, w, channels], floating.
        scale, bias: factor and offset of each normalised channel [channels].
        eps: added to variances.

    Returns:
        Shape and dtype of `x`.

    Source: Ulyanov et al. 2016, eq. 4.
    """
    upcast = _upcast(x)
    scale, bias = (each[None, None, None].astype(upcast.dtype) for each in (scale, bias))
    centred = upcast - upcast.mean((1, 2), keepdims=True)
    variance = (centred * centred).mean((1, 2), keepdims=True)
    return (centred * jax.lax.rsqrt(variance + eps) * scale + bias).astype(x.dtype)
