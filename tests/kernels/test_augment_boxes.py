"""Images and their boxes move together, each image for itself."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels.augment_boxes import (
    in_windows,
    mosaic_windows,
    place_images,
    random_colour,
    random_mirror,
    random_placement,
)
from dlcore.kernels.boxes import place_boxes
from tests.kernels.case import Case

pytestmark = pytest.mark.slow

ROWS = np.arange(5, dtype=np.int32)
SCALES, ASPECT, STRENGTH = (0.5, 2.0), 1.3, 0.4


def key() -> jax.Array:
    """The key of all tests here."""
    return jax.random.key(3)


def draws(row: int, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform, of an example."""
    drawn = jax.random.uniform(jax.random.fold_in(key(), int(row)), shape, jnp.float32)
    return np.asarray(drawn, np.float64)


def placements(rows: np.ndarray, extent: np.ndarray, window: np.ndarray) -> np.ndarray:
    """One image after the other."""
    out = np.zeros((len(rows), 4))
    for i, row in enumerate(rows):
        u = draws(row, (4,))
        scale = np.exp(np.log(SCALES[0]) + u[0] * np.log(SCALES[1] / SCALES[0]))
        ratio = ASPECT ** (u[1] - 0.5)
        for axis, each in enumerate((scale * ratio, scale / ratio)):
            ends = sorted([window[i, axis], window[i, axis + 2] - each * extent[i, axis]])
            out[i, axis] = each
            out[i, axis + 2] = ends[0] + u[2 + axis] * (ends[1] - ends[0])
    return out


def resampled(images: np.ndarray, placement: np.ndarray) -> np.ndarray:
    """Pixel after pixel, along one axis after the other."""
    out = np.zeros_like(images)
    for i, (image, (sx, sy, tx, ty)) in enumerate(zip(images, placement, strict=True)):
        rows = np.stack([_mixed(image, y, sy, ty) for y in range(image.shape[0])])
        turned = rows.swapaxes(0, 1)
        out[i] = np.stack([_mixed(turned, x, sx, tx) for x in range(image.shape[1])], 1)
    return out


def _mixed(lines: np.ndarray, index: int, scale: float, shift: float) -> np.ndarray:
    at = (index + 0.5 - shift) / scale - 0.5
    if not -0.5 <= at <= len(lines) - 0.5:
        return np.zeros_like(lines[0])
    weights = np.array([max(0, 1 - abs(at - j) * min(scale, 1)) for j in range(len(lines))])
    return (weights[:, None, None] * lines).sum(0) / weights.sum()


def mirrored(rows: np.ndarray, images: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """One image after the other; the boxes behind the pixels."""
    out = []
    for row, image, each in zip(rows, images, boxes.copy(), strict=True):
        chosen = np.asarray(jax.random.bernoulli(jax.random.fold_in(key(), int(row)), 0.5, (2,)))
        height, width = image.shape[:2]
        for axis, side in ((0, width), (1, height)):
            if chosen[axis]:
                image = np.flip(image, 1 - axis)
                for box in each:
                    if box.any():
                        box[axis], box[axis + 2] = side - box[axis + 2], side - box[axis]
        out.append(np.concatenate([image.ravel(), each.ravel()]))
    return np.stack(out)


def mirror(rows: jax.Array, images: jax.Array, boxes: jax.Array) -> jax.Array:
    """Both of what `random_mirror` returns, as numbers of an example."""
    found = random_mirror(key(), rows, images, boxes, vertical=True)
    return jnp.concatenate([x.reshape(len(x), -1) for x in found], 1)


def quarters(rows: np.ndarray, canvas: np.ndarray) -> np.ndarray:
    """One canvas after the other."""
    out = np.zeros((len(rows), 4, 4))
    for i, row in enumerate(rows):
        x, y = np.round(canvas * (0.25 + 0.5 * draws(row, (2,))))
        right, bottom = canvas
        corners = [0, 0, x, y], [x, 0, right, y], [0, y, x, bottom], [x, y, right, bottom]
        out[i] = np.array(corners)
    return out


def composed(images: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Pixel after pixel."""
    out = np.zeros_like(images[:, 0])
    for b, i, j in np.ndindex(*out.shape[:3]):
        for k, (left, top, right, bottom) in enumerate(windows[b]):
            if left <= j + 0.5 < right and top <= i + 0.5 < bottom:
                out[b, i, j] = images[b, k, i, j]
    return out


def coloured(rows: np.ndarray, images: np.ndarray) -> np.ndarray:
    """One image after the other."""
    out = []
    for row, image in zip(rows, images, strict=True):
        u = (draws(row, (2, image.shape[-1] + 1)) * 2 - 1) * STRENGTH
        gain, bias = ((each[0] + each[1:]) / 2 for each in u)
        out.append(image * (1 + gain) + bias)
    return np.stack(out)


def _extents(generator: np.random.Generator) -> tuple[np.ndarray, ...]:
    extent = generator.integers(8, 30, (5, 2)).astype(float)
    return ROWS, extent, np.tile([4.0, 2.0, 24.0, 18.0], (5, 1))


def _images(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    place = np.array([[1.0, 1, 0, 0], [0.5, 0.75, 1.25, -0.75], [2, 1.5, -3, 2], [1, 2, 9, 0]])
    return generator.standard_normal((4, 6, 8, 2)), place


def _with_boxes(generator: np.random.Generator) -> tuple[np.ndarray, ...]:
    corner = generator.integers(0, 4, (5, 3, 2)).astype(float)
    boxes = np.concatenate([corner, corner + 2], -1)
    boxes[:, 2] = 0
    return ROWS, generator.standard_normal((5, 6, 8, 2)), boxes


def _tiles(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    windows = np.array([[0.0, 0, 4, 6], [4, 0, 8, 3], [4, 3, 7, 6]])
    return generator.standard_normal((2, 3, 6, 8, 2)), np.stack([windows, windows + 1])


CASES = {
    "random_placement": Case(
        lambda rows, extent, window: random_placement(key(), rows, extent, window, SCALES, ASPECT),
        placements,
        _extents,
        batched=(0, 1, 2),
        f32=2e-6,
    ),
    "place_images": Case(place_images, resampled, _images, grads=(0,), batched=(0, 1), f32=2e-6),
    "random_mirror": Case(
        mirror, mirrored, _with_boxes, grads=(1,), batched=(0, 1, 2), f32=0, bf16=0
    ),
    "mosaic_windows": Case(
        lambda rows, canvas: mosaic_windows(key(), rows, canvas),
        quarters,
        lambda generator: (ROWS, np.array([40.0, 30.0])),
        f32=0,
        bf16=0,
    ),
    "in_windows": Case(in_windows, composed, _tiles, grads=(0,), batched=(0, 1), f32=0, bf16=0),
    "random_colour": Case(
        lambda rows, images: random_colour(key(), rows, images, STRENGTH),
        coloured,
        lambda generator: (ROWS, generator.standard_normal((5, 4, 3, 3))),
        grads=(1,),
        batched=(0, 1),
    ),
}


def test_a_centre_on_the_edge_of_two_windows_belongs_to_the_second() -> None:
    images = jnp.stack([jnp.full((5, 5, 1), 1.0), jnp.full((5, 5, 1), 2.0)])[None]
    windows = jnp.array([[[0, 0, 2.5, 5], [2.5, 0, 5, 5]]])
    found = np.asarray(in_windows(images, windows))[0, :, :, 0]
    np.testing.assert_array_equal(found, np.tile([1, 1, 2, 2, 2], (5, 1)))


def test_placing_is_that_of_jax() -> None:
    images, place = _images(np.random.default_rng(0))
    for image, (sx, sy, tx, ty) in zip(images, place, strict=True):
        expected = jax.image.scale_and_translate(
            jnp.asarray(image, jnp.float32),
            image.shape,
            (0, 1),
            jnp.array([sy, sx]),
            jnp.array([ty, tx]),
            "linear",
        )
        found = place_images(
            jnp.asarray(image[None], jnp.float32), jnp.array([[sx, sy, tx, ty]], jnp.float32)
        )
        np.testing.assert_allclose(found[0], expected, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_boxes_move_with_what_they_are_around(seed: int) -> None:
    """A bright rectangle stays within its box through placing and mirroring, and fills it."""
    generator = np.random.default_rng(seed)
    image, box = np.zeros((1, 32, 40, 1), np.float32), np.array([[[8.0, 10, 20, 22]]], np.float32)
    image[0, 10:22, 8:20] = 1
    row, whole = np.array([seed]), np.array([[0.0, 0, 40, 32]], np.float32)
    extent = np.array([[40.0, 32.0]], np.float32)
    for step in range(4):
        k = jax.random.key(int(generator.integers(1000)) + step)
        place = random_placement(k, row, extent, whole, (0.8, 1.6), 1.2)
        moved, boxes = random_mirror(
            k, row, place_images(image, place), place_boxes(box, place, whole), vertical=True
        )
        pixels = np.argwhere(np.asarray(moved[0, :, :, 0]) > 0.5)
        if len(pixels) and np.asarray(boxes).any():
            found = [*pixels.min(0)[::-1], *(pixels.max(0)[::-1] + 1)]
            np.testing.assert_allclose(np.asarray(boxes)[0, 0], found, atol=1.01)
