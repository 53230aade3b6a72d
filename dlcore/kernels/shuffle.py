"""Pixels between space and channels (Shi et al. 2016, eq. 4)."""

from __future__ import annotations

from jax import Array


def depth_to_space(x: Array, size: int) -> Array:
    """[batch, h, w, size^2 c] -> [batch, size h, size w, c]. Raises ValueError unless size^2
    divides the channels.
    """
    batch, h, w, channels = x.shape
    if channels % (size * size):
        raise ValueError(f"{channels} channels do not divide into blocks of {size} x {size}")
    x = x.reshape(batch, h, w, size, size, channels // (size * size))
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, h * size, w * size, -1)


def space_to_depth(x: Array, size: int) -> Array:
    """[batch, size h, size w, c] -> [batch, h, w, size^2 c], the inverse. Raises ValueError unless
    size divides height and width.
    """
    batch, height, width, channels = x.shape
    if height % size or width % size:
        raise ValueError(
            f"an image of {height} x {width} does not divide into blocks of {size} x {size}"
        )
    x = x.reshape(batch, height // size, size, width // size, size, channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height // size, width // size, -1)
