"""Metrics of images."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64


def psnr(images: Float[np.ndarray, "n ..."], reference: Float[np.ndarray, "n ..."]) -> float:
    """Computes the peak signal-to-noise ratio of images with pixels in [0, 1].

    Args:
        images: [n, ...].
        reference: of the same shape.

    Returns:
        The mean over images of 10 log10(1 / mean squared error), in decibels; infinite if any image
        is equal to its reference.

    Raises:
        ValueError: different shapes, or fewer than two dimensions.
    """
    return float(psnr_of_each(images, reference).mean())


def psnr_of_each(
    images: Float[np.ndarray, "n ..."],
    reference: Float[np.ndarray, "n ..."],
    smallest: float = 0.0,
) -> Float64[np.ndarray, " n"]:
    """Computes the peak signal-to-noise ratio of each image, of which `psnr` is the mean.

    Args:
        images, reference: as of `psnr`.
        smallest: lower bound of the mean squared error, such as 1e-10 for at most 100 dB.

    Returns:
        [n], in decibels; infinite for an image that is equal to its reference, if `smallest` is 0.

    Raises:
        ValueError: as of `psnr`.
    """
    a, b = np.asarray(images, np.float64), np.asarray(reference, np.float64)
    if a.shape != b.shape or a.ndim < 2:
        raise ValueError(
            f"images and reference must be [n, ...] of one shape, not {a.shape} and {b.shape}"
        )
    error = ((a - b) ** 2).reshape(len(a), -1).mean(1)
    with np.errstate(divide="ignore"):
        return -10 * np.log10(np.maximum(error, smallest))
