"""Compares the sizes of image files with the size that an experiment reads."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Integer


def warn_of_size(path: Path, sizes: Integer[np.ndarray, "n 2"], shape: Sequence[int]) -> None:
    """Warns if the files' median height or width is over twice or under half that of a shape.

    Args:
        path: of the files, for the message.
        sizes: height and width of each file in pixels [n, 2].
        shape: [height, width, ...] to which the images are resized.
    """
    height, width = np.median(sizes, 0)
    factors = (height / shape[0], width / shape[1])
    if max(factors) > 2 or min(factors) < 1 / 2:
        warnings.warn(
            f"{path}: images of {width:.0f}x{height:.0f} pixels (their median) are resized to"
            f" {shape[1]}x{shape[0]}, which is what the experiment reads",
            stacklevel=3,
        )
