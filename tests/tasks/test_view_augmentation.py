"""Random views: within [0, 1], by row and key alone, and no view at all where nothing is asked."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels import augment, colours, crop, rotation
from dlcore.kernels.randaugment import randaugment
from dlcore.tasks.view_augmentation import Views

IMAGES = np.random.default_rng(0).integers(0, 255, (4, 8, 8, 3), np.uint8)
NONE = Views(smallest=1.0, flip=False, jitter=0.0, grey=0.0)


def test_no_strength_is_the_image() -> None:
    found = NONE(jax.random.key(0), jnp.arange(4), jnp.asarray(IMAGES))
    np.testing.assert_allclose(found, IMAGES / 255, atol=1e-6)


@pytest.mark.slow
def test_views_depend_on_row_and_key_and_stay_in_range() -> None:
    views, key = Views(erase=2), jax.random.key(1)
    together = np.asarray(views(key, jnp.arange(4), jnp.asarray(IMAGES)))
    alone = views(key, jnp.arange(2, 4), jnp.asarray(IMAGES[2:]))
    np.testing.assert_allclose(alone, together[2:], atol=1e-6)
    assert 0 <= together.min() <= together.max() <= 1
    assert (
        np.abs(views(jax.random.key(2), jnp.arange(4), jnp.asarray(IMAGES)) - together).max() > 0.1
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "kernel"),
    [
        ({"smallest": 0.3}, lambda k, r, x: crop.random_resized_crop(k(0), r, x, 0.3, 4 / 3)),
        ({"rotation": 40.0}, lambda k, r, x: rotation.random_rotation(k(5), r, x, 40.0)),
        ({"flip": True}, lambda k, r, x: augment.random_flip(k(1), r, x)),
        ({"grey": 0.5}, lambda k, r, x: colours.random_grey(k(3), r, x, 0.5)),
        ({"randaugment": 2}, lambda k, r, x: randaugment(k(6), r, x, 2)),
        ({"erase": 2}, lambda k, r, x: augment.random_erase(k(4), r, x, 2)),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)  # fmt: skip
def test_each_change_is_its_kernel(changes: dict[str, Any], kernel: Any) -> None:
    views, row, key = dataclasses.replace(NONE, **changes), jnp.arange(4), jax.random.key(3)

    @jax.jit
    def both(images: jax.Array) -> tuple[jax.Array, jax.Array]:
        x = images.astype(float) / 255
        return views(key, row, images), kernel(lambda n: jax.random.fold_in(key, n), row, x)

    found, expected = both(jnp.asarray(IMAGES))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert not np.allclose(found, IMAGES / 255, atol=1e-3)


@pytest.mark.slow
def test_colours_change_with_the_probability_of_jitter() -> None:
    images = jnp.asarray(np.repeat(IMAGES[:1], 400, 0))
    for probability in (0.2, 0.8):
        views = dataclasses.replace(NONE, jitter=probability)
        found = jax.jit(views)(jax.random.key(0), jnp.arange(400), images)
        changed = np.abs(np.asarray(found) - IMAGES[:1] / 255).max((1, 2, 3)) > 1e-5
        assert changed.mean() == pytest.approx(probability, abs=0.08)


@pytest.mark.slow
def test_images_of_one_channel_have_no_colour() -> None:
    grey = jnp.asarray(IMAGES[..., :1])
    batch = {"image": grey, "row": jnp.arange(4), "label": jnp.arange(4)}
    found = Views().augment(batch, jax.random.key(0))
    assert found["image"].shape == grey.shape
    assert found["image"].dtype == jnp.float32
    assert 1 < float(found["image"].max()) <= 255
    np.testing.assert_array_equal(found["label"], batch["label"])
