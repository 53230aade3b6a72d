"""Metrics of images."""

from __future__ import annotations

import numpy as np


def psnr(images: np.ndarray, reference: np.ndarray) -> float:
    """The mean over images [n, ...] of 10 log10(1 / their mean squared error), in decibels, for
    pixels in [0, 1].

    Infinite if one of them is equal to its reference. Raises ValueError unless both have one shape.
    """
    a, b = np.asarray(images, np.float64), np.asarray(reference, np.float64)
    if a.shape != b.shape or a.ndim < 2:
        raise ValueError(
            f"images and reference must be [n, ...] of one shape, not {a.shape} and {b.shape}"
        )
    with np.errstate(divide="ignore"):
        return float(-10 * np.log10(((a - b) ** 2).reshape(len(a), -1).mean(1)).mean())
