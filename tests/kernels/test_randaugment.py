"""RandAugment: each image by changes of its own, each as a kernel makes it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from dlcore.kernels.randaugment import randaugment
from tests.kernels.case import Case

ROWS = np.arange(5, dtype=np.int32)
GREY = np.array([0.299, 0.587, 0.114])


def key() -> jax.Array:
    return jax.random.key(3)  # with which the first changes are of all four kinds


def flipped(k: jax.Array, image: np.ndarray) -> np.ndarray:
    return image[:, ::-1] if bool(jax.random.bernoulli(k)) else image


def shifted(k: jax.Array, image: np.ndarray) -> np.ndarray:
    """At most one pixel: 30 % of half of six pixels, rounded."""
    down, right = (int(n) for n in jax.random.randint(k, (2,), 0, 3))
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    return padded[down : down + image.shape[0], right : right + image.shape[1]]


def turned(k: jax.Array, image: np.ndarray) -> np.ndarray:
    angle = np.radians(15) * (2 * float(jax.random.uniform(k)) - 1)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = (np.array(image.shape[:2]) - 1) / 2
    places = np.indices(image.shape[:2]).reshape(2, -1) - centre[:, None]
    places = turn @ places + centre[:, None]
    planes = [
        scipy.ndimage.map_coordinates(image[..., c], places, order=1, mode="nearest")
        for c in range(image.shape[2])
    ]
    return np.stack(planes, -1).reshape(image.shape)


def jittered(k: jax.Array, image: np.ndarray) -> np.ndarray:
    draw = np.asarray(jax.random.uniform(k, (3,)), np.float64)
    bright, far, vivid = 1 + (2 * draw - 1) * 0.45
    x = image * bright
    mean = (x @ GREY).mean()
    x = mean + (x - mean) * far
    grey = (x @ GREY)[..., None]
    return np.clip(grey + (x - grey) * vivid, 0, 1)


def one_by_one(rows: np.ndarray, images: np.ndarray, operations: int = 1) -> np.ndarray:
    """One image and change after the other."""
    out = []
    for row, image in zip(rows, images, strict=True):
        for step in range(operations):
            k = jax.random.fold_in(jax.random.fold_in(key(), step), int(row))
            number = int(jax.random.randint(jax.random.fold_in(k, 0), (), 0, 4))
            change = (flipped, shifted, turned, jittered)[number]
            image = change(jax.random.fold_in(jax.random.fold_in(k, 1), 0), image)
        out.append(image)
    return np.array(out)


CASES = {
    "randaugment": Case(
        lambda rows, x: randaugment(key(), rows, x, 1),
        one_by_one,
        lambda generator: (ROWS, generator.uniform(0.25, 0.6, (5, 7, 6, 3))),
        batched=(),  # the reference goes row by row
        f32=1e-5,
    )
}


@pytest.mark.nightly
def test_several_changes_follow_each_other() -> None:
    images = np.random.default_rng(0).uniform(0.25, 0.6, (5, 7, 6, 3)).astype(np.float32)
    found = jax.jit(lambda x: randaugment(key(), ROWS, x, 3))(images)
    np.testing.assert_allclose(found, one_by_one(ROWS, images, 3), atol=2e-6)


def test_every_change_is_drawn_and_none_is_the_image() -> None:
    numbers = {
        int(jax.random.randint(jax.random.fold_in(k, 0), (), 0, 4))
        for row in ROWS
        for k in [jax.random.fold_in(jax.random.fold_in(key(), 0), int(row))]
    }
    assert numbers == {0, 1, 2, 3}
    images = jnp.full((5, 4, 4, 1), 0.5)
    np.testing.assert_array_equal(randaugment(key(), ROWS, images, 0), images)
    with pytest.raises(ValueError, match="magnitude"):
        randaugment(key(), ROWS, images, 1, 2.0)
