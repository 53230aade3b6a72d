"""SSIM by hand, and PSNR as scikit-image has it."""

from __future__ import annotations

import numpy as np
import pytest

from dlcore.metrics.images import psnr
from dlcore.metrics.structural import ssim

pytestmark = pytest.mark.quick
RANDOM = np.random.default_rng(0).random((4, 16, 20, 1))


def test_equal_images_have_one_and_constant_ones_what_the_formula_says() -> None:
    np.testing.assert_allclose(ssim(RANDOM, RANDOM), 1.0)
    a, b = np.full((1, 9, 9, 1), 0.2), np.full((1, 9, 9, 1), 0.6)
    # without variance only the term of the means remains: (2 ab + c) / (a^2 + b^2 + c), c = 0.01^2
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    np.testing.assert_allclose(ssim(a, b), expected, rtol=1e-5)


def test_psnr_is_that_of_scikit_image() -> None:
    from skimage.metrics import peak_signal_noise_ratio

    other = np.clip(RANDOM + np.random.default_rng(1).normal(0, 0.1, RANDOM.shape), 0, 1)
    each = [
        peak_signal_noise_ratio(a, b, data_range=1.0) for a, b in zip(RANDOM, other, strict=True)
    ]
    assert psnr(other, RANDOM) == pytest.approx(np.mean(each))


def test_small_images_shrink_the_window_and_other_shapes_are_refused() -> None:
    small = RANDOM[:, :4, :5]
    assert (ssim(small, small) == 1).all()
    with pytest.raises(ValueError, match="twice"):
        ssim(RANDOM, RANDOM[:, :8])
    with pytest.raises(ValueError, match="twice"):
        ssim(RANDOM[:, :2], RANDOM[:, :2])
