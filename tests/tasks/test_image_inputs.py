"""The inputs of image models: scaling, and images as sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlcore.data.sets.images import permutation
from dlcore.tasks import image_inputs

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
