"""Corruption of images: noise, blur and binarisation, with one random draw per example."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Float64, Integer, PRNGKeyArray

from dlcore.kernels.random import per_example


def gaussian_noise(
    key: PRNGKeyArray,
    row: Integer[Array, " batch"],
    images: Float[Array, " batch *image"],
    sigma: float,
) -> Float[Array, " batch *image"]:
    """Adds Gaussian noise of standard deviation `sigma`, drawn independently for each example.

    Args:
        key: random key of the step.
        row: each example's index in the global batch [batch].
        images: [batch, ...], floating.
        sigma: standard deviation of the noise, in units of the pixel values.

    Returns:
        Noisy images, shape and dtype of `images`; values may leave [0, 1].

    Raises:
        ValueError: sigma is negative.
    """
    if sigma < 0:
        raise ValueError(f"a standard deviation of {sigma} for the noise: it cannot be negative")
    noise = per_example(lambda k: jax.random.normal(k, images.shape[1:]), key, row)
    return (images + sigma * noise).astype(images.dtype)


def binarise(
    key: PRNGKeyArray, row: Integer[Array, " batch"], images: Float[Array, " batch *image"]
) -> Float[Array, " batch *image"]:
    """Stochastic binarisation: each pixel becomes 1 with its value as probability, else 0.

    Args:
        key: random key of the step.
        row: each example's index in the global batch [batch].
        images: [batch, ...] with values in [0, 1].

    Returns:
        Images of zeros and ones, shape and dtype of `images`.

    Source: Salakhutdinov & Murray 2008, sec. 5.
    """
    draw = per_example(lambda k: jax.random.uniform(k, images.shape[1:]), key, row)
    return (draw < images).astype(images.dtype)


def gaussian_blur(
    images: Float[Array, "batch height width c"], sigma: float
) -> Float[Array, "batch height width c"]:
    """Convolves images with a Gaussian, cut off at 4 sigma, with zeros outside the image.

    Computed as two products with the matrices of `blur_matrix`, in float32 or wider.

    Args:
        images: [batch, height, width, c], floating.
        sigma: standard deviation of the Gaussian in pixels; 0 changes nothing.

    Returns:
        Blurred images, shape and dtype of `images`.

    Raises:
        ValueError: sigma is negative.
    """
    upcast = images.astype(jnp.promote_types(images.dtype, jnp.float32))
    down, across = (jnp.asarray(blur_matrix(n, sigma), upcast.dtype) for n in images.shape[1:3])
    return jnp.einsum(
        "ij,bjkc,lk->bilc", down, upcast, across, precision=jax.lax.Precision.HIGHEST
    ).astype(images.dtype)


def blur_matrix(n: int, sigma: float) -> Float64[np.ndarray, "n n"]:
    """Computes the matrix that blurs n pixels: w(i - j) with w(d) = e^(-d^2 / (2 sigma^2)) / sum.

    The sum is over all |d| up to r, 4 sigma rounded to whole pixels, so that rows near the ends,
    whose Gaussian reaches beyond the n pixels, sum to less than 1.

    Args:
        n: number of pixels.
        sigma: standard deviation of the Gaussian in pixels; 0 gives the identity.

    Returns:
        Matrix [n, n], float64; entries further than r from the diagonal are 0.

    Raises:
        ValueError: sigma is negative.
    """
    if sigma < 0:
        raise ValueError(f"a blur of {sigma} pixels: it cannot be negative")
    if sigma == 0:
        return np.eye(n)
    reach = int(4 * sigma + 0.5)
    weight = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    index = np.arange(n)[:, None] - np.arange(n)[None] + reach
    inside = (index >= 0) & (index <= 2 * reach)
    return np.where(inside, (weight / weight.sum())[np.clip(index, 0, 2 * reach)], 0)
