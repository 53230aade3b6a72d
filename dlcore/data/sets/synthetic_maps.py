"""Generated images with known label maps: coloured shapes, and cells whose borders touch."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

SHAPES = ("ground", "disc", "square", "triangle")
_COLOURS = ((0.35, 0.4, 0.45), (0.8, 0.35, 0.3), (0.35, 0.75, 0.4), (0.4, 0.45, 0.85))


def shapes(count: int, height: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws scenes of discs, squares and triangles on textured ground, which may cover each other.

    The outline of a shape tells its class exactly, its colour only with noise.

    Args:
        count: number of images.
        height, width: of the images in pixels.
        seed: of the draws.

    Returns:
        Images uint8 [count, height, width, 3], and label maps uint8 [count, 2 height, 2 width] of
        the classes `SHAPES`: at twice the size.
    """
    # RandomState: NumPy froze its stream for good, which it does not promise for default_rng.
    random = np.random.RandomState(seed)
    images = np.empty((count, height, width, 3), np.uint8)
    masks = np.zeros((count, 2 * height, 2 * width), np.uint8)
    y, x = np.mgrid[: 2 * height, : 2 * width]
    for image, mask in zip(images, masks, strict=True):
        colour = np.empty((2 * height, 2 * width, 3))
        colour[:] = _COLOURS[0] + random.normal(0, 0.08, 3)
        for _ in range(random.randint(2, 6)):
            kind = random.randint(1, len(SHAPES))
            inside = _inside(kind, y, x, random)
            mask[inside] = kind
            colour[inside] = _COLOURS[kind] + random.normal(0, 0.12, 3)
        small = colour.reshape(height, 2, width, 2, 3).mean((1, 3))
        texture = ndimage.gaussian_filter(random.normal(0, 1, (height, width)), 2)[..., None]
        noisy = small + 0.1 * texture + random.normal(0, 0.05, small.shape)
        image[:] = np.clip(255 * noisy, 0, 255)
    return images, masks


def _inside(kind: int, y: np.ndarray, x: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """Where a random shape of a kind lies: bool [height, width]."""
    height, width = y.shape
    radius = random.uniform(0.1, 0.25) * min(height, width)
    down, right = y - random.uniform(0, height), x - random.uniform(0, width)
    if kind == 1:
        return down**2 + right**2 <= radius**2
    if kind == 2:
        return np.maximum(abs(down), abs(right)) <= 0.9 * radius
    return (down <= radius) & (2 * abs(right) <= down + radius)


def cells(count: int, side: int, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Draws bright ellipses on a dark ground, as fluorescent nuclei: blurred, noisy, some touching.

    Args:
        count: number of images.
        side: height and width of the images in pixels.
        seed: the images are a function of it.

    Returns:
        Images uint8 [side, side, 1], and label maps uint16 [side, side]: 0 is ground, each cell has
        a number from 1 on.
    """
    random = np.random.RandomState(seed)
    y, x = np.mgrid[:side, :side]
    images, maps = [], []
    for _ in range(count):
        numbered, light = np.zeros((side, side), np.uint16), np.zeros((side, side))
        for _ in range(random.randint(4, 10)):
            radius, angle = random.uniform(4, 8, 2), random.uniform(0, np.pi)
            down, right = y - random.uniform(0, side), x - random.uniform(0, side)
            along = (np.cos(angle) * right + np.sin(angle) * down) / radius[0]
            across = (np.cos(angle) * down - np.sin(angle) * right) / radius[1]
            inside = along**2 + across**2 <= 1
            if inside.sum() < 20 or (inside & (numbered > 0)).sum() > 0.1 * inside.sum():
                continue
            inside &= numbered == 0
            numbered[inside] = numbered.max() + 1
            light[inside] = random.uniform(0.3, 0.9)
        blurred = ndimage.gaussian_filter(light, 0.8) + 0.08
        noisy = blurred + random.normal(0, 0.03, blurred.shape)
        images.append(np.clip(255 * noisy, 0, 255).astype(np.uint8)[..., None])
        maps.append(numbered)
    return images, maps
