"""The inputs of image models: scaling, and images as sequences."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.data.sets.images import permutation
from dlcore.kernels.lighting import local_contrast
from dlcore.tasks import image_inputs
from dlcore.tasks.image_inputs import standardised

BATCH: Any = {"image": np.array([0, 51, 255], np.uint8).reshape(1, 1, 3, 1)}


def test_pixels_are_scaled_to_the_unit_interval_and_to_a_signed_one() -> None:
    unit = np.asarray(image_inputs.unit(BATCH, None, False))
    signed = np.asarray(image_inputs.signed(BATCH, None, False))
    assert unit.dtype == signed.dtype == np.float32
    np.testing.assert_allclose(unit.ravel(), [0, 0.2, 1], rtol=1e-6)
    np.testing.assert_allclose(signed.ravel(), [-1, -0.6, 1], rtol=1e-6)


@pytest.mark.parametrize("view", ["rows", "pixels"])
def test_a_sequence_has_all_pixels_and_the_permutation_reorders_its_steps(view: Any) -> None:
    image = np.arange(2 * 784, dtype=np.int64).reshape(2, 28, 28, 1) % 251
    batch: Any = {"image": image.astype(np.uint8)}
    plain = np.asarray(image_inputs.sequence(view, False)(batch, None, False))
    permuted = np.asarray(image_inputs.sequence(view, True)(batch, None, True))
    np.testing.assert_allclose(plain.reshape(2, -1) * 255, image.reshape(2, -1), atol=1e-4)
    np.testing.assert_array_equal(permuted, plain[:, permutation(view)])


@pytest.mark.slow
def test_inputs_do_not_depend_on_exposure() -> None:
    image = np.random.default_rng(0).integers(0, 120, (2, 8, 8, 1)).astype(np.float32)
    for inputs, close in ((standardised(), 1e-2), (standardised(1.5), 0.2)):
        dark, light = (inputs({"image": jnp.asarray(x)}, None, False) for x in (image, 2 * image))
        assert float(jnp.abs(dark - light).mean()) < close
    whole = np.asarray(standardised()({"image": jnp.asarray(image)}, None, False))
    np.testing.assert_allclose(whole.mean((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(whole.std((1, 2, 3)), 1, atol=1e-3)
    local = standardised(1.5)({"image": jnp.asarray(image)}, None, False)
    np.testing.assert_array_equal(local, local_contrast(jnp.log1p(jnp.asarray(image)), 1.5, 0.1))


@pytest.mark.slow
def test_each_neighbourhood_gives_channels_of_its_own() -> None:
    batch = {"image": jax.random.uniform(jax.random.key(0), (2, 8, 8, 1), maxval=255.0)}
    both = standardised(1.5, 0.5, floor=1.0)(batch, None, False)
    for channel, neighbourhood in enumerate((1.5, 0.5)):
        one = standardised(neighbourhood, floor=1.0)(batch, None, False)
        np.testing.assert_array_equal(both[..., channel], one[..., 0])
