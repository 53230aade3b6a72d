"""Sources with fixed noise: the same every time, another for another seed."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage

from dlcore.data.sets import embedded
from dlcore.data.sets.images import binarised, degraded
from dlcore.data.source import arrays
from dlcore.kernels.corrupt import blur_matrix

GREY = arrays(
    "grey",
    "1",
    "test",
    {"image": np.tile(np.array([0, 51, 204, 255], np.uint8), (4000, 1)), "label": np.arange(4000)},
)


def test_binarised_pixels_are_black_or_white_with_the_right_chance_and_labels_stay() -> None:
    source = binarised(GREY, seed=0)
    image = source.arrays["image"]
    assert image.dtype == np.uint8
    assert set(np.unique(image)) == {0, 255}
    np.testing.assert_allclose((image > 0).mean(0), [0, 0.2, 0.8, 1], atol=0.03)
    np.testing.assert_array_equal(source.arrays["label"], GREY.arrays["label"])
    assert (source.info.name, source.info.version, source.info.split) == (
        "grey binarised",
        "1",
        "test",
    )
    assert binarised(GREY, seed=0).info == source.info
    assert binarised(GREY, seed=1).info.fingerprint != source.info.fingerprint


def test_degraded_is_blur_and_then_noise_and_the_image_stays() -> None:
    digits = embedded.digits28("test")
    clean = digits.arrays["image"].astype(np.float64) / 255
    blurred = degraded(digits, 2.0, 0.0, seed=0).arrays["degraded"]
    np.testing.assert_allclose(
        blurred, scipy.ndimage.gaussian_filter(clean, (0, 2, 2, 0), mode="constant"), atol=1e-6
    )
    source = degraded(digits, 0.0, 0.5, seed=0)
    noise = source.arrays["degraded"] - clean
    assert noise.mean() == pytest.approx(0, abs=0.01)
    assert noise.std() == pytest.approx(0.5, abs=0.01)
    assert (
        source.arrays["image"] is digits.arrays["image"]
        or (source.arrays["image"] == digits.arrays["image"]).all()
    )
    assert source.info.name == "digits28 degraded"
    assert (source.info.version, source.info.split, len(source)) == (
        digits.info.version,
        "test",
        len(digits),
    )
    assert set(source.arrays) == {"image", "label", "degraded"}
    assert degraded(digits, 0.0, 0.5, seed=0).info == source.info
    assert degraded(digits, 0.0, 0.5, seed=1).info.fingerprint != source.info.fingerprint


def test_every_draw_is_its_own_pixels() -> None:
    """The numbers, from the definition: examples come in blocks of 1,000, and the draws do not know
    it.
    """
    image = np.random.RandomState(1).randint(0, 256, (2100, 5, 4, 2)).astype(np.uint8)
    source = arrays("random", "1", "train", {"image": image})
    draws = np.random.RandomState(7).random_sample(image.shape)
    np.testing.assert_array_equal(
        binarised(source, 7).arrays["image"], np.where(draws < image / 255, 255, 0)
    )
    clean, normal = (
        np.float32(image) / np.float32(255),
        np.random.RandomState(7).standard_normal(image.shape),
    )
    worse = degraded(source, 0.0, 0.25, 7).arrays["degraded"]
    assert worse.dtype == np.float32
    np.testing.assert_array_equal(worse, (clean + 0.25 * normal).astype(np.float32))
    blurred = scipy.ndimage.gaussian_filter(image / 255, (0, 1.5, 1.5, 0), mode="constant")
    np.testing.assert_allclose(
        degraded(source, 1.5, 0.25, 7).arrays["degraded"], blurred + 0.25 * normal, atol=1e-6
    )


def test_the_bits_of_a_blur_do_not_depend_on_how_many_images_are_blurred_at_once() -> None:
    digits = embedded.digits28("test")
    few = arrays("few", "1", "test", {k: v[:3] for k, v in digits.arrays.items()})
    blurred = degraded(digits, 2.0, 0.0, seed=0).arrays["degraded"]
    np.testing.assert_array_equal(degraded(few, 2.0, 0.0, seed=0).arrays["degraded"], blurred[:3])
    # the sum over the columns of the blur matrix in their order, rows first
    x = digits.arrays["image"][0, :, :, 0].astype(np.float32) / 255
    matrix = blur_matrix(28, 2.0).astype(np.float32)
    for _ in range(2):
        total = np.zeros_like(x)
        for column in range(28):
            total += matrix[:, column : column + 1] * x[column]
        x = total.T
    np.testing.assert_array_equal(blurred[0, :, :, 0], x)
