"""Crops and flips of single images on the host, for `augment` and `prepare` of mapped sources.

Images are uint8 [height, width, channels]; random numbers come from a NumPy generator.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image

Box = tuple[int, int, int, int]  # left, upper, right, lower


def random_resized_crop(
    image: UInt8[np.ndarray, "height width channels"],
    random: np.random.Generator,
    size: int,
    area: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> UInt8[np.ndarray, "_ _ channels"]:
    """Crops a random part of random area and aspect ratio, and resizes it (Szegedy et al. 2015).

    Args:
        image: uint8 [height, width, channels].
        random: the generator.
        size: height and width of the result in pixels.
        area: smallest and largest area, as fractions of the image; it is uniform between them.
        ratio: smallest and largest width / height; its logarithm is uniform.

    Returns:
        uint8 [size, size, channels]. After ten parts that do not fit into the image, the central
        square.
    """
    height, width = image.shape[:2]
    for _ in range(10):
        pixels = height * width * random.uniform(*area)
        shape = math.exp(random.uniform(math.log(ratio[0]), math.log(ratio[1])))
        w, h = round(math.sqrt(pixels * shape)), round(math.sqrt(pixels / shape))
        if 0 < w <= width and 0 < h <= height:
            left, upper = random.integers(width - w + 1), random.integers(height - h + 1)
            return resized(image, (size, size), (left, upper, left + w, upper + h))
    return centre_crop(image, size)


def random_flip(
    image: UInt8[np.ndarray, "height width channels"], random: np.random.Generator
) -> UInt8[np.ndarray, "_ _ channels"]:
    """Mirrors an image, uint8 [height, width, channels], left to right with probability 1/2."""
    return np.ascontiguousarray(image[:, ::-1]) if random.random() < 0.5 else image


def centre_crop(
    image: UInt8[np.ndarray, "height width channels"], size: int, fraction: float = 1.0
) -> UInt8[np.ndarray, "_ _ channels"]:
    """Crops the central square and resizes it.

    Args:
        image: uint8 [height, width, channels].
        size: height and width of the result in pixels.
        fraction: side of the square, as a fraction of the shorter side of the image; 0.875 is
            usual for networks that were trained on random crops.

    Returns:
        uint8 [size, size, channels].
    """
    height, width = image.shape[:2]
    side = max(1, round(min(height, width) * fraction))
    left, upper = (width - side) // 2, (height - side) // 2
    return resized(image, (size, size), (left, upper, left + side, upper + side))


def resized(
    image: UInt8[np.ndarray, "height width channels"], shape: Sequence[int], box: Box | None = None
) -> UInt8[np.ndarray, "_ _ channels"]:
    """Resizes an image, or a part of it, by bilinear interpolation with antialiasing.

    Args:
        image: uint8 [height, width, channels], 1, 3 or 4 channels.
        shape: height and width of the result.
        box: left, upper, right and lower side of the part in pixels; None: all of the image.

    Returns:
        uint8 [*shape, channels].
    """
    (height, width), (left, upper, right, lower) = shape, box or (0, 0, *image.shape[1::-1])
    part = image[upper:lower, left:right]  # Pillow's own `box` would blend in what is outside it
    picture = Image.fromarray(part[..., 0] if image.shape[-1] == 1 else part)
    found = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(found, np.uint8).reshape(height, width, image.shape[-1])
