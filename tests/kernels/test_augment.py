"""Augmentation: no pixel is invented, each image decides for itself."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels.augment import random_flip, random_shift
from tests.kernels.case import Case

ROWS = np.arange(6, dtype=np.int32)
PIXELS = 2


def key() -> jax.Array:
    """The key of all tests here."""
    return jax.random.key(1)


def flipped(rows: np.ndarray, images: np.ndarray) -> np.ndarray:
    """One image after the other."""
    coins = [bool(jax.random.bernoulli(jax.random.fold_in(key(), int(row)))) for row in rows]
    return np.stack([image[:, ::-1] if coin else image for coin, image in zip(coins, images, strict=True)])


def shifted(rows: np.ndarray, images: np.ndarray) -> np.ndarray:
    """One image after the other."""
    out = np.zeros_like(images)
    _, height, width, _ = images.shape
    for row, image, to in zip(rows, images, out, strict=True):
        corner = jax.random.randint(jax.random.fold_in(key(), int(row)), (2,), 0, 2 * PIXELS + 1)
        down, right = (PIXELS - int(c) for c in corner)
        for i in range(height):
            for j in range(width):
                if 0 <= i - down < height and 0 <= j - right < width:
                    to[i, j] = image[i - down, j - right]
    return out


def _edges() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {
        "one pixel": (ROWS, np.arange(6.0).reshape(6, 1, 1, 1)),
        "huge and tiny": (ROWS, np.tile(np.array([1e4, 1e30, 1e-30]).reshape(1, 1, 3, 1), (6, 2, 1, 1))),
        "not finite": (ROWS, np.tile(np.array([np.nan, np.inf, -np.inf]).reshape(1, 1, 3, 1), (6, 2, 1, 1))),
    }


def _images(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return ROWS, generator.standard_normal((6, 4, 5, 2))


CASES = {
    "random_flip": Case(
        lambda rows, x: random_flip(key(), rows, x), flipped, _images, grads=(1,), batched=(0, 1), f32=0, bf16=0, edges=_edges()
    ),
    "random_shift": Case(
        lambda rows, x: random_shift(key(), rows, x, PIXELS),
        shifted,
        _images,
        grads=(1,),
        batched=(0, 1),
        f32=0,
        bf16=0,
        edges=_edges(),
    ),
}

IMAGES = jnp.arange(1, 1 + 200 * 3 * 4 * 2, dtype=jnp.float32).reshape(200, 3, 4, 2)  # every pixel is another number, none is 0


def test_flip_mirrors_half_of_the_images_and_twice_is_nothing() -> None:
    once = random_flip(key(), jnp.arange(200), IMAGES)
    mirrored = np.array([(a == b[:, ::-1]).all() for a, b in zip(once, IMAGES, strict=True)])
    assert all((a == b).all() for a, b, m in zip(once, IMAGES, mirrored, strict=True) if not m)
    assert 70 < mirrored.sum() < 130
    np.testing.assert_array_equal(random_flip(key(), jnp.arange(200), once), IMAGES)


def test_shift_invents_no_values_and_reaches_every_offset() -> None:
    moved = np.asarray(random_shift(key(), jnp.arange(200), IMAGES, 1))
    offsets = set()
    for before, after in zip(np.asarray(IMAGES), moved, strict=True):
        kept = after != 0
        assert np.isin(after[kept], before).all()
        assert len(np.unique(after[kept])) == kept.sum()  # no pixel appears twice
        i, j, c = np.argwhere(kept)[0]
        a, b, _ = np.argwhere(before == after[i, j, c])[0]
        offsets.add((int(i - a), int(j - b)))
    assert offsets == {(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)}


def test_shift_by_no_pixels_is_the_identity_and_integers_stay_integers() -> None:
    images = jnp.asarray(np.arange(24, dtype=np.uint8).reshape(2, 3, 4, 1))
    np.testing.assert_array_equal(random_shift(key(), jnp.arange(2), images, 0), images)
    assert random_shift(key(), jnp.arange(2), images, 1).dtype == jnp.uint8
    assert random_flip(key(), jnp.arange(2), images).dtype == jnp.uint8


@pytest.mark.parametrize("kernel", [random_flip, lambda k, r, x: random_shift(k, r, x, 1)])
def test_images_in_another_order_are_changed_the_same_way(kernel) -> None:
    order = np.random.default_rng(0).permutation(20)
    together = np.asarray(kernel(key(), jnp.arange(20), IMAGES[:20]))
    np.testing.assert_array_equal(kernel(key(), order, IMAGES[:20][order]), together[order])
