"""Saliency maps: the gradient of one of a network's outputs with respect to the pixels."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


def gradient_map(
    output: Callable[[Array], Array],
    images: Array,
    key: Array,
    noise: float = 0.0,
    count: int = 1,
) -> Array:
    """Computes the size of the gradient of an output with respect to each pixel, over noisy copies.

    It is sqrt(mean over copies of the sum over channels of g^2), with the gradient g at a copy.

    Args:
        output: maps images to one number per example [batch]; an example's number depends on its
            own image alone.
        images: [batch, ..., channels], floating.
        key: of the noise.
        noise: standard deviation of the Gaussian noise that is added, in units of the pixels; 0:
            none.
        count: number of noisy copies.

    Returns:
        Norms [batch, ...], not negative.

    Source: Simonyan et al. 2014, sec. 3; Smilkov et al. 2017 (SmoothGrad), here with the mean of
    squares (Hooker et al. 2019, SmoothGrad-Squared).
    """
    slope = jax.grad(lambda x: output(x).sum())

    def noisy(key: Array) -> Array:
        return jnp.abs(slope(images + noise * jax.random.normal(key, images.shape, images.dtype)))

    gradients = jax.lax.map(noisy, jax.random.split(key, count))
    return jnp.sqrt((gradients**2).mean(0).sum(-1))


def overlay(images: np.ndarray, maps: np.ndarray, strength: float = 0.85) -> np.ndarray:
    """Draws images in grey, with the pixels of the largest values of a map in red.

    Args:
        images: uint8 [n, height, width, 1 or 3].
        maps: not negative [n, height, width]; each is divided by its 99th percentile, and clipped
            to 1.
        strength: opacity of the red where the result is 1, in [0, 1].

    Returns:
        uint8 [n, height, width, 3].
    """
    grey = np.asarray(images, np.float64).mean(-1, keepdims=True)
    top = np.percentile(maps, 99, axis=(1, 2), keepdims=True)
    weight = strength * np.clip(maps / np.maximum(top, 1e-12), 0, 1)[..., None]
    red = np.array([255.0, 40.0, 20.0])
    return (grey * (1 - weight) + red * weight).round().astype(np.uint8)
