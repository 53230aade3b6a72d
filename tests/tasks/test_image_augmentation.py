"""Augmentation of image batches: composed of the kernels, each with its key, and the mixing of
pairs.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.errors import UsageError
from dlcore.kernels import augment
from dlcore.tasks.image_augmentation import mixed, shift_and_flip, shift_on_white

pytestmark = pytest.mark.slow

KEY = jax.random.key(5)
ROW = jnp.array([3, 7, 11, 2])


def batch() -> dict[str, Any]:
    """Four images of 6x6 bytes, with partners and labels."""
    draw = np.random.default_rng(0)
    images = [jnp.asarray(draw.integers(0, 256, (4, 6, 6, 1)), jnp.uint8) for _ in range(2)]
    return {"image": images[0], "partner_image": images[1], "row": ROW, "label": jnp.arange(4)}


def test_without_any_change_a_batch_stays_as_it_is() -> None:
    for change in (shift_and_flip(0, False), mixed()):
        after = change(batch(), KEY)
        assert after.keys() == batch().keys()
        assert after["image"].dtype == jnp.uint8
        assert (after["image"] == batch()["image"]).all()


def test_shift_and_flip_composes_the_kernels_and_keeps_other_fields() -> None:
    after = shift_and_flip(2, True)(batch(), KEY)
    shifted = augment.random_shift(KEY, ROW, batch()["image"], 2)
    assert (after["image"] == augment.random_flip(KEY, ROW, shifted)).all()
    assert (after["label"] == batch()["label"]).all()
    assert (shift_and_flip(2, False)(batch(), KEY)["image"] == shifted).all()


def test_an_example_is_augmented_alike_in_any_batch() -> None:
    change = jax.jit(mixed(flip=True, max_shift=2, erase=2, cutmix=1.0))
    whole = change(batch(), KEY)
    order = np.array([2, 0, 3, 1])
    other = change({name: x[order] for name, x in batch().items()}, KEY)
    assert all((whole[name][order] == other[name]).all() for name in whole)


def test_mixup_weights_both_views_by_the_fraction_that_the_loss_gets() -> None:
    change = mixed(flip=True, mixup=1.0)
    after = change(batch(), KEY)
    views = [
        augment.random_flip(
            jax.random.fold_in(jax.random.fold_in(KEY, i), 0), ROW, batch()[name]
        ).astype(jnp.float32)
        for i, name in enumerate(("image", "partner_image"))
    ]
    share = after["label_fraction"][:, None, None, None]
    assert after["label_fraction"].shape == (4,)
    np.testing.assert_allclose(after["image"], share * views[0] + (1 - share) * views[1], rtol=1e-6)


def test_cutmix_takes_each_pixel_from_one_of_the_pair() -> None:
    after = mixed(cutmix=1.0)(batch(), KEY)
    own = after["image"] == batch()["image"]
    assert (own | (after["image"] == batch()["partner_image"])).all()
    assert ((after["label_fraction"] >= 0) & (after["label_fraction"] <= 1)).all()
    assert after["label_fraction"].mean() == pytest.approx(
        float(own.mean()), abs=0.02
    )  # chance equals


def test_mixup_and_cutmix_exclude_each_other() -> None:
    with pytest.raises(UsageError, match=r"--mixup 0.5 and --cutmix 1.0 exclude each other"):
        mixed(mixup=0.5, cutmix=1.0)


def test_what_a_shift_uncovers_on_white_is_white() -> None:
    shift = shift_on_white(2)
    white = {**batch(), "image": jnp.full((4, 6, 6, 1), 255, jnp.uint8)}
    assert (shift(white, KEY)["image"] == 255).all()
    after = shift(batch(), KEY)["image"]
    expected = 255 - augment.random_shift(KEY, ROW, 255 - batch()["image"], 2)
    np.testing.assert_array_equal(after, expected)
    assert after.dtype == jnp.uint8
    assert (after != batch()["image"]).any()
