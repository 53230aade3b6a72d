"""Local contrast normalisation, which removes most effects of the lighting from images."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from dlcore.kernels.corrupt import gaussian_blur


def local_contrast(
    images: Float[Array, "batch height width c"], sigma: float, floor: float = 0.1
) -> Float[Array, "batch height width c"]:
    """Standardises each pixel by the mean and the standard deviation of its neighbourhood.

    (x - m) / sqrt(v + floor^2 s + 1e-6), clipped to [-3, 3], where m and v are the means of x and
    of (x - m)^2, with each pixel's own m, under a Gaussian around the pixel, and s is the mean of
    (x - m)^2 over the image; each channel by itself. At the border, the part of the Gaussian inside
    the image is normalised to sum to 1. Applied to logarithms of pixels, it removes factors that
    change slowly over the image, as most lighting does.

    Args:
        images: [batch, height, width, c], floating.
        sigma: standard deviation of the Gaussian in pixels, above 0.
        floor: fraction of the image's standard deviation that is added (in squares) to that of the
            neighbourhood, so that noise in flat areas is not amplified.

    Returns:
        Shape and dtype of `images`; computed in float32 or wider.

    Raises:
        ValueError: sigma is not above 0.

    Source: Jarrett et al. 2009, sec. 2.1.
    """
    if sigma <= 0:
        raise ValueError(f"a neighbourhood of {sigma} pixels: it must be above 0")
    x = images.astype(jnp.promote_types(images.dtype, jnp.float32))
    inside = gaussian_blur(jnp.ones_like(x[:1]), sigma)  # the Gaussian's part within the image
    x = x - gaussian_blur(x, sigma) / inside
    variance = gaussian_blur(x * x, sigma) / inside
    whole = (x * x).mean((1, 2), keepdims=True)
    y = x / jnp.sqrt(variance + floor * floor * whole + 1e-6)
    return jnp.clip(y, -3, 3).astype(images.dtype)
