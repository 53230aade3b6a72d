"""A threshold between dark and bright pixels: the baseline of segmentation without learning."""

from __future__ import annotations

import numpy as np


def otsu(image: np.ndarray) -> int:
    """Finds the threshold between dark and bright pixels of an image by Otsu's method.

    Args:
        image: uint8, any shape.

    Returns:
        The level t that maximises the variance between pixels of at most t and those above it; the
        smallest such level. 0 where the image has one level only.

    Source: Otsu 1979, eq. 18.
    """
    counts = np.bincount(np.asarray(image, np.uint8).ravel(), minlength=256).astype(np.float64)
    below = np.cumsum(counts)
    total, levels = below[-1], np.cumsum(counts * np.arange(256))
    above = total - below
    both = (below > 0) & (above > 0)
    low = levels / np.where(both, below, 1)
    high = (levels[-1] - levels) / np.where(both, above, 1)
    between = np.where(both, below * above * (high - low) ** 2, 0)
    return int(between.argmax())
