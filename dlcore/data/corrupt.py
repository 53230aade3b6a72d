"""Sources whose noise was drawn once for all: what is evaluated, and what it is compared with, sees the same."""

from __future__ import annotations

import numpy as np

from dlcore.data.source import Arrays, arrays
from dlcore.kernels.corrupt import blur_matrix


def binarised(source: Arrays, seed: int) -> Arrays:
    """The source with `image` (uint8) replaced by 0 or 255, the latter with probability image / 255."""
    image = source.arrays["image"]
    # RandomState: NumPy froze its stream for good, which it does not promise for default_rng.
    drawn = np.random.RandomState(seed).random_sample(image.shape)
    image = np.where(drawn * 255 < image, 255, 0).astype(np.uint8)
    return arrays(f"{source.info.name} binarised", source.info.version, source.info.split, {**source.arrays, "image": image})


def degraded(source: Arrays, blur: float, noise: float, seed: int) -> Arrays:
    """The source with `degraded` beside `image`: image / 255 blurred by a Gaussian of `blur` pixels, plus noise of that deviation.

    image uint8 [N, height, width, c] -> degraded float32 of the same shape, not clipped to [0, 1].
    """
    image = source.arrays["image"]
    down, across = (blur_matrix(n, blur).astype(np.float32) for n in image.shape[1:3])
    random, worse = np.random.RandomState(seed), np.empty(image.shape, np.float32)
    for start in range(0, len(image), 1000):  # the float64 draws of a whole training set would take gigabytes
        part = image[start : start + 1000].astype(np.float32) / 255
        part = np.einsum("ij,bjkc,lk->bilc", down, part, across, optimize=True) if blur else part
        worse[start : start + 1000] = part + noise * random.standard_normal(part.shape)
    name = f"{source.info.name} degraded"
    return arrays(name, source.info.version, source.info.split, {**source.arrays, "degraded": worse})
