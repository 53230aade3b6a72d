"""Moves pixels between the spatial axes and the channels (pixel shuffle)."""

from __future__ import annotations

from jax import Array
from jaxtyping import Shaped


def depth_to_space(x: Shaped[Array, "batch h w c"], size: int) -> Shaped[Array, "batch h2 w2 c2"]:
    """Pixel shuffle: moves channels into blocks of `size` x `size` pixels.

    Args:
        x: [batch, h, w, size^2 c]; channel (i size + j) c + k becomes channel k in row i and column
            j of a block. (PyTorch's PixelShuffle reads channel k size^2 + i size + j instead.)
        size: height and width of a block.

    Returns:
        [batch, size h, size w, c], dtype of `x`.

    Raises:
        ValueError: size^2 does not divide the channels.

    Source: Shi et al. 2016, eq. 4.
    """
    batch, h, w, channels = x.shape
    if channels % (size * size):
        raise ValueError(f"{channels} channels do not divide into blocks of {size} x {size}")
    x = x.reshape(batch, h, w, size, size, channels // (size * size))
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, h * size, w * size, -1)


def space_to_depth(x: Shaped[Array, "batch h w c"], size: int) -> Shaped[Array, "batch h2 w2 c2"]:
    """Moves blocks of `size` x `size` pixels into channels; the inverse of `depth_to_space`.

    Args:
        x: [batch, size h, size w, c].
        size: height and width of a block.

    Returns:
        [batch, h, w, size^2 c], dtype of `x`.

    Raises:
        ValueError: `size` does not divide height and width.
    """
    batch, height, width, channels = x.shape
    if height % size or width % size:
        raise ValueError(
            f"an image of {height} x {width} does not divide into blocks of {size} x {size}"
        )
    x = x.reshape(batch, height // size, size, width // size, size, channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height // size, width // size, -1)
