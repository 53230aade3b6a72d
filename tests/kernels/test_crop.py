"""Crops that are resized: every image its own box, and no values that are not in the image."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels.crop import bilinear_matrix, random_resized_crop, resampled
from tests.kernels.case import Case, normals

ROWS = np.arange(5, dtype=np.int32)
SMALLEST, RATIO = 0.3, 1.5


def key() -> jax.Array:
    return jax.random.key(2)


def weights(start: float, length: float, size: int) -> np.ndarray:
    """Linear interpolation of one line, pixel after pixel."""
    out = np.zeros((size, size))
    for i in range(size):
        position = min(max(start + (i + 0.5) / size * length - 0.5, 0), size - 1)
        low = min(int(position), size - 2)
        out[i, low], out[i, low + 1] = 1 - (position - low), position - low
    return out


def cropped(rows: np.ndarray, images: np.ndarray) -> np.ndarray:
    out = np.empty_like(images)
    _, height, width, _ = images.shape
    for n, row in enumerate(rows):
        u = np.asarray(jax.random.uniform(jax.random.fold_in(key(), int(row)), (4,)), np.float64)
        area, ratio = SMALLEST + (1 - SMALLEST) * u[0], RATIO ** (2 * u[1] - 1)
        box_height, box_width = min(np.sqrt(area / ratio), 1), min(np.sqrt(area * ratio), 1)
        down = weights(u[2] * (1 - box_height) * height, box_height * height, height)
        across = weights(u[3] * (1 - box_width) * width, box_width * width, width)
        for c in range(images.shape[-1]):
            out[n, :, :, c] = down @ images[n, :, :, c] @ across.T
    return out


def many_weights(start: np.ndarray, length: np.ndarray) -> np.ndarray:
    return np.stack([weights(a, b, 6) for a, b in zip(start, length, strict=True)])


CASES = {
    "random_resized_crop": Case(
        lambda rows, x: random_resized_crop(key(), rows, x, SMALLEST, RATIO),
        cropped,
        lambda generator: (ROWS, generator.standard_normal((5, 6, 8, 2))),
        grads=(1,),
        batched=(0, 1),
        f32=1e-5,
        edges={"constant": (ROWS, np.full((5, 4, 4, 1), 3.0))},
    ),
    "bilinear_matrix": Case(
        lambda start, length: bilinear_matrix(start, length, 6),
        many_weights,
        lambda generator: (generator.uniform(0, 2, 5), generator.uniform(2, 4, 5)),
        grads=(0, 1),
        batched=(0, 1),
        f32=2e-6,
        bf16=0.1,  # positions of pixels themselves are rounded
        edges={"all of it": (np.zeros(1), np.full(1, 6.0))},
    ),
    "resampled": Case(
        resampled,
        lambda x, down, across: np.einsum("bij,bjkc,blk->bilc", down, x, across),
        normals((3, 4, 5, 2), (3, 4, 4), (3, 5, 5)),
        grads=(0, 1, 2),
        batched=(0, 1, 2),
    ),
}


def test_the_whole_image_is_itself() -> None:
    images = np.random.default_rng(0).random((5, 6, 7, 3), np.float32)
    found = random_resized_crop(key(), ROWS, jnp.asarray(images), 1.0, 1.0)
    np.testing.assert_allclose(found, images, atol=1e-5)


def test_boxes_stay_inside_and_differ() -> None:
    """A ramp shows where the box lay: its corners are corners of the box."""
    ramp = np.broadcast_to(np.arange(16, dtype=np.float32)[:, None, None], (300, 16, 16, 1))
    found = np.asarray(random_resized_crop(key(), jnp.arange(300), jnp.asarray(ramp), 0.1))
    assert found.min() >= 0
    assert found.max() <= 15
    heights = found[:, -1, 0, 0] - found[:, 0, 0, 0]
    assert heights.min() < 6
    assert heights.max() > 13
    assert len(np.unique(found[:, 0, 0, 0].round(3))) > 200


def test_bad_ranges_are_refused() -> None:
    for smallest, ratio in ((0.0, 1.0), (1.1, 1.0), (0.5, 0.9)):
        with pytest.raises(ValueError, match="must be in"):
            random_resized_crop(key(), ROWS, jnp.zeros((5, 4, 4, 1)), smallest, ratio)
