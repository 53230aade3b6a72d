"""Crops: images and label maps move together."""

from __future__ import annotations

import jax
import numpy as np

from dlcore.kernels.crops import crop_images, crop_labels, random_boxes
from tests.kernels.case import Case

ROWS = np.arange(5, dtype=np.int32)
SIZE = (4, 3)
WHOLE = np.array([[0.0, 0.0, 1.0, 1.0]])


def key() -> jax.Array:
    """The key of all tests here."""
    return jax.random.key(2)


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
