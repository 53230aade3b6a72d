"""Pixels between space and channels: nothing is lost, and each goes where the paper puts it."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels.shuffle import depth_to_space, space_to_depth
from tests.kernels.case import Case, normals


def spread(x: np.ndarray, size: int = 2) -> np.ndarray:
    """Pixel by pixel: channel (a, b, c) of (i, j) becomes channel c of (size i + a, size j + b)."""
    batch, h, w, channels = x.shape
    y = np.empty((batch, size * h, size * w, channels // size**2))
    for i, j, a, b in np.ndindex(h, w, size, size):
        first = (a * size + b) * y.shape[-1]
        y[:, size * i + a, size * j + b] = x[:, i, j, first : first + y.shape[-1]]
    return y


def gathered(x: np.ndarray, size: int = 2) -> np.ndarray:
    """The way back, pixel by pixel."""
    batch, height, width, channels = x.shape
    y = np.empty((batch, height // size, width // size, size**2 * channels))
    for i, j, a, b in np.ndindex(height // size, width // size, size, size):
        first = (a * size + b) * channels
        y[:, i, j, first : first + channels] = x[:, size * i + a, size * j + b]
    return y


EDGES = {
    "one pixel": (np.arange(4.0).reshape(1, 1, 1, 4),),
    "huge and tiny": (np.array([1e4, 1e30, 1e-30, -1e30]).reshape(1, 1, 1, 4),),
    "not finite": (np.array([np.nan, np.inf, -np.inf, 0.0]).reshape(1, 1, 1, 4),),
}
FLAT = {name: (x.reshape(1, 2, 2, 1),) for name, (x,) in EDGES.items()}

CASES = {
    "depth_to_space": Case(
        lambda x: depth_to_space(x, 2),
        spread,
        normals((2, 3, 2, 8)),
        grads=(0,),
        f32=0,
        bf16=0,
        edges=EDGES,
        edge=0,
    ),
    "depth_to_space:3": Case(
        lambda x: depth_to_space(x, 3),
        lambda x: spread(x, 3),
        normals((1, 2, 1, 18)),
        f32=0,
        bf16=0,
    ),
    "space_to_depth": Case(
        lambda x: space_to_depth(x, 2),
        gathered,
        normals((2, 6, 4, 2)),
        grads=(0,),
        f32=0,
        bf16=0,
        edges=FLAT,
        edge=0,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("size", "h", "w", "channels"), [(1, 2, 3, 2), (2, 1, 3, 1), (3, 2, 1, 2)])
def test_one_undoes_the_other(size: int, h: int, w: int, channels: int) -> None:
    x = jnp.arange(2.0 * h * w * size**2 * channels).reshape(2, h, w, size**2 * channels)
    np.testing.assert_array_equal(space_to_depth(depth_to_space(x, size), size), x)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="6 channels do not divide into blocks of 2 x 2"):
        depth_to_space(jnp.zeros((1, 2, 2, 6)), 2)
    for shape in ((1, 3, 4, 1), (1, 4, 3, 1)):
        with pytest.raises(
            ValueError, match=r"an image of . x . does not divide into blocks of 2 x 2"
        ):
            space_to_depth(jnp.zeros(shape), 2)
