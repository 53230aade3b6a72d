"""Pooling by reshaping: on CPU the gradient of a strided window reduction took three quarters of a
small CNN's step.
"""

from __future__ import annotations

from functools import reduce

import jax.numpy as jnp
from jax import Array

from dlcore.kernels.derivatives import with_backward


def _places(blocks: Array) -> list[Array]:
    return [blocks[:, :, i, :, j] for i in range(blocks.shape[2]) for j in range(blocks.shape[4])]


def _forward(x: Array, size: int) -> tuple[Array, tuple[Array, Array]]:
    y = max_pool(x, size)
    return y, (x, y)


def _backward(size: int, saved: tuple[Array, Array], dy: Array) -> tuple[Array]:
    (x, y), blocks = saved, _blocks(saved[0], size)
    share = dy / sum((each == y).astype(dy.dtype) for each in _places(blocks))
    # Compared again, not kept: what two loops read XLA writes out first.
    return (
        jnp.where(blocks == y[:, :, None, :, None], share[:, :, None, :, None], 0).reshape(x.shape),
    )


@with_backward(_forward, _backward, nondiff_argnums=(1,))
def max_pool(x: Array, size: int = 2) -> Array:
    """The largest value of each `size` x `size` block: [batch, height, width, c] -> [batch,
    height/size, width/size, c].

    A gradient is shared equally among equal maxima. Raises ValueError unless `size` divides height
    and width. The places of a block are combined one by one, forward and backward: XLA's own
    gradient of a reduction takes twice as long on CPU, for the same bits. Forward mode:
    `derivatives.plain_derivatives`, where equal maxima share by halves.
    """
    return reduce(jnp.maximum, _places(_blocks(x, size)))


def mean_pool(x: Array, size: int = 2) -> Array:
    """The mean of each `size` x `size` block; shapes and errors as `max_pool`."""
    return _blocks(x, size).mean((2, 4))


def _blocks(x: Array, size: int) -> Array:
    batch, height, width, channels = x.shape
    if height % size or width % size:
        raise ValueError(
            f"blocks of {size} do not divide an image of {height} x {width}: crop or pad it first"
        )
    return jnp.reshape(x, (batch, height // size, size, width // size, size, channels))
