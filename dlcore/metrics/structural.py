"""Structural similarity of images (SSIM), by scikit-image."""

from __future__ import annotations

import importlib.util

import numpy as np

from dlcore.errors import UsageError

WINDOW = 7  # pixels; scikit-image's default


def require() -> None:
    """Raises UsageError where scikit-image is not installed, before a run is trained for it."""
    if importlib.util.find_spec("skimage") is None:
        raise UsageError("SSIM needs scikit-image: pip install 'dlcore[vision]'")


def ssim(images: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Computes the structural similarity of images (Wang et al. 2004, eq. 13), by scikit-image.

    Windows are uniform, 7 x 7 pixels (for smaller images the largest odd size that fits); the value
    of an image is the mean over windows and channels.

    Args:
        images: [n, height, width, channels] in [0, 1].
        reference: of the same shape.

    Returns:
        float64 [n], at most 1: 1 for equal images.

    Raises:
        ValueError: different shapes, or images smaller than 3x3.
        UsageError: scikit-image is not installed.
    """
    require()
    from skimage.metrics import structural_similarity

    a, b = np.asarray(images, np.float32), np.asarray(reference, np.float32)
    if a.shape != b.shape or a.ndim != 4 or min(a.shape[1:3]) < 3:
        raise ValueError(f"needs [n, height, width, channels] twice, not {a.shape} and {b.shape}")
    side = min(WINDOW, *a.shape[1:3])
    window = side - 1 + side % 2  # odd
    each = (
        structural_similarity(x, y, win_size=window, channel_axis=-1, data_range=1.0)
        for x, y in zip(a, b, strict=True)
    )
    return np.fromiter(each, np.float64, len(a))
