"""Random views: within [0, 1], by row and key alone, and no view at all where nothing is asked."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

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
def test_images_of_one_channel_have_no_colour() -> None:
    grey = jnp.asarray(IMAGES[..., :1])
    batch = {"image": grey, "row": jnp.arange(4), "label": jnp.arange(4)}
    found = Views().augment(batch, jax.random.key(0))
    assert found["image"].shape == grey.shape
    assert found["image"].dtype == jnp.float32
    assert 1 < float(found["image"].max()) <= 255
    np.testing.assert_array_equal(found["label"], batch["label"])
