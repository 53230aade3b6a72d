"""Images made worse: noise, blur and binarisation, keyed by the row in the batch."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.kernels.random import per_example


def gaussian_noise(key: Array, row: Array, images: Array, sigma: float) -> Array:
    """images + sigma e, e standard normal and one draw a row; images [batch, ...], dtype kept,
    values may leave [0, 1].

    Raises ValueError for a negative sigma.
    """
    if sigma < 0:
        raise ValueError(f"noise of standard deviation {sigma}: it cannot be negative")
    noise = per_example(lambda k: jax.random.normal(k, images.shape[1:]), key, row)
    return (images + sigma * noise).astype(images.dtype)


def binarise(key: Array, row: Array, images: Array) -> Array:
    """1 with probability images, else 0 (stochastic binarisation; Salakhutdinov & Murray 2008, sec.
    5), one draw a row; dtype kept.

    images [batch, ...] in [0, 1]: what is 0 or 1 already stays as it is.
    """
    draw = per_example(lambda k: jax.random.uniform(k, images.shape[1:]), key, row)
    return (draw < images).astype(images.dtype)


def gaussian_blur(images: Array, sigma: float) -> Array:
    """Images [batch, height, width, c] convolved with a Gaussian of `sigma` pixels, cut off at 4
    sigma, zeros outside; dtype kept.

    Two products with the matrices of `blur_matrix`. Raises ValueError for a negative sigma; 0
    changes nothing.
    """
    upcast = images.astype(jnp.promote_types(images.dtype, jnp.float32))
    down, across = (jnp.asarray(blur_matrix(n, sigma), upcast.dtype) for n in images.shape[1:3])
    return jnp.einsum(
        "ij,bjkc,lk->bilc", down, upcast, across, precision=jax.lax.Precision.HIGHEST
    ).astype(images.dtype)


def blur_matrix(n: int, sigma: float) -> np.ndarray:
    """[n, n] float64 whose product with a row of n pixels is the row blurred: w(i - j), w(d) =
    e^(-d^2 / 2 sigma^2) / its sum.

    Raises ValueError for a negative sigma; 0 gives the identity.
    """
    if sigma < 0:
        raise ValueError(f"a blur of {sigma} pixels: it cannot be negative")
    if sigma == 0:
        return np.eye(n)
    reach = int(4 * sigma + 0.5)
    weight = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    away = np.arange(n)[:, None] - np.arange(n)[None] + reach
    inside = (away >= 0) & (away <= 2 * reach)
    return np.where(inside, (weight / weight.sum())[np.clip(away, 0, 2 * reach)], 0)
