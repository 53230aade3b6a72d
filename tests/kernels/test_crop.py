"""Crops that are resized: every image its own box, and label maps move with their images."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels.crop import (
    bilinear_matrix,
    crop_images,
    crop_labels,
    random_boxes,
    random_resized_crop,
    resampled,
)
from tests.kernels.case import Case, normals

pytestmark = pytest.mark.slow

ROWS = np.arange(5, dtype=np.int32)
SMALLEST, RATIO = 0.3, 1.5
SIZE = (4, 3)
WHOLE = np.array([[0.0, 0.0, 1.0, 1.0]])


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


def boxes_of(rows: np.ndarray) -> np.ndarray:
    """One after the other."""
    out = []
    for row in rows:
        draw = np.asarray(jax.random.uniform(jax.random.fold_in(key(), int(row)), (4,)), np.float64)
        side, ratio = 0.5 * (1.5 / 0.5) ** draw[0], 0.8 * (1.25 / 0.8) ** draw[1]
        height, width = side / np.sqrt(ratio), side * np.sqrt(ratio)
        out.append([draw[2] * (1 - height), draw[3] * (1 - width), height, width])
    return np.array(out)


def positions(start: float, extent: float, source: int, count: int) -> np.ndarray:
    return (start + extent * (np.arange(count) + 0.5) / count) * source - 0.5


def bilinear(images: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Pixel after pixel, as a sum over all pixels of the image with triangular weights."""
    out = []
    for image, (top, left, height, width) in zip(images, boxes, strict=True):
        h, w = image.shape[:2]
        i = np.clip(positions(top, height, h, SIZE[0]), 0, h - 1)
        j = np.clip(positions(left, width, w, SIZE[1]), 0, w - 1)
        down = np.maximum(0, 1 - np.abs(i[:, None] - np.arange(h)))
        across = np.maximum(0, 1 - np.abs(j[:, None] - np.arange(w)))
        out.append(np.einsum("ih,hwc,jw->ijc", down, image, across))
    return np.array(out)


def nearest(labels: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Pixel after pixel."""
    out = np.full((len(labels), *SIZE), 255)
    for n, (top, left, height, width) in enumerate(boxes):
        for a, i in enumerate(np.floor(positions(top, height, 6, SIZE[0]) + 0.5).astype(int)):
            for b, j in enumerate(np.floor(positions(left, width, 5, SIZE[1]) + 0.5).astype(int)):
                if 0 <= i < 6 and 0 <= j < 5:
                    out[n, a, b] = labels[n, i, j]
    return out


def some_boxes(generator: np.random.Generator) -> np.ndarray:
    return np.concatenate(
        [generator.uniform(-0.3, 0.5, (5, 2)), generator.uniform(0.3, 1, (5, 2))], 1
    )


LABEL_BOXES = np.asarray(some_boxes(np.random.default_rng(5)), np.float32)
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
    "random_boxes": Case(
        lambda rows: random_boxes(key(), rows, (0.5, 1.5), (0.8, 1.25)),
        boxes_of,
        lambda generator: (ROWS,),
    ),
    "crop_images": Case(
        lambda x, boxes: crop_images(x, boxes, SIZE),
        bilinear,
        lambda generator: (generator.standard_normal((5, 6, 5, 2)), some_boxes(generator)),
        grads=(0,),
        batched=(0, 1),
        f32=3e-6,
        bf16=3e-2,
    ),
    "crop_labels": Case(
        lambda x: crop_labels(x, LABEL_BOXES, SIZE),
        lambda x: nearest(x, LABEL_BOXES),
        lambda generator: (generator.integers(0, 9, (5, 6, 5)).astype(np.int32),),
        batched=(),
        f32=0,
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


def test_the_whole_box_gives_the_image_itself() -> None:
    image = np.random.default_rng(0).standard_normal((1, 6, 5, 3)).astype(np.float32)
    labels = np.arange(30, dtype=np.uint8).reshape(1, 6, 5)
    np.testing.assert_allclose(
        crop_images(image, WHOLE.astype(np.float32), (6, 5)), image, atol=1e-5
    )
    np.testing.assert_array_equal(crop_labels(labels, WHOLE.astype(np.float32), (6, 5)), labels)


def test_images_and_labels_move_together() -> None:
    """A label map that is an image too: enlarged twice, both show the same."""
    labels = np.kron(np.random.default_rng(0).integers(0, 2, (5, 4, 4)), np.ones((1, 8, 8)))
    boxes = random_boxes(key(), ROWS, (0.4, 0.9))
    image = crop_images(labels[..., None].astype(np.float32), boxes, (64, 64))[..., 0]
    moved = np.asarray(crop_labels(labels.astype(np.uint8), boxes, (64, 64)))
    assert (np.abs(np.asarray(image) - moved) <= 0.75 + 1e-3).all()  # a corner
    assert (np.asarray(image) == moved).mean() > 0.7


def test_a_box_that_is_larger_than_the_image_holds_all_of_it() -> None:
    boxes = np.asarray(random_boxes(key(), np.arange(200), (1.2, 2.0)))
    assert (boxes[:, :2] <= 1e-6).all()
    assert (boxes[:, :2] + boxes[:, 2:] >= 1 - 1e-6).all()
    labels = np.full((1, 6, 5), 3, np.uint8)
    cropped = np.asarray(crop_labels(labels, np.array([[-0.5, -0.5, 2, 2]], np.float32), (12, 10)))
    assert (cropped == 255).sum() == 120 - 30
    assert (cropped == 3).sum() == 30
