"""Baselines against scikit-learn, SciPy and pairs whose best map is known."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from dlcore.analysis.baselines import best, linear_map, median_filter, principal_components
from dlcore.metrics.images import psnr


def test_components_equal_scikit_learns() -> None:
    random = np.random.default_rng(0)
    x, other = (
        random.standard_normal((50, 4, 3)) * np.arange(1, 4),
        random.standard_normal((7, 4, 3)),
    )
    own, theirs = principal_components(x, 5), PCA(5, svd_solver="full").fit(x.reshape(50, 12))
    want = theirs.inverse_transform(theirs.transform(other.reshape(7, 12)))
    np.testing.assert_allclose(own.project(other), want.reshape(7, 4, 3), atol=1e-10)
    np.testing.assert_allclose(
        np.abs(own.code(other)), np.abs(theirs.transform(other.reshape(7, 12))), atol=1e-10
    )
    np.testing.assert_allclose(
        own.first(2).project(other), principal_components(x, 2).project(other), atol=1e-10
    )
    np.testing.assert_allclose(principal_components(x, 12).project(other), other, atol=1e-10)


@pytest.mark.parametrize("k", [0, 13, 51])
def test_components_that_are_not_there_are_refused(k: int) -> None:
    with pytest.raises(ValueError, match="components of 50 examples"):
        principal_components(np.ones((50, 12)), k)


def test_median_filter_takes_out_a_speck_and_keeps_images_apart() -> None:
    images = np.zeros((2, 5, 5, 1))
    images[0, 2, 2], images[1] = 1, 0.5
    np.testing.assert_array_equal(
        median_filter(3)(images)[..., 0], np.stack([np.zeros((5, 5)), np.full((5, 5), 0.5)])
    )


def test_linear_map_finds_an_affine_map_and_under_noise_shrinks_as_wiener_says() -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((5000, 2, 3))
    weights, bias = random.standard_normal((6, 6)), random.standard_normal(6)
    y = (x.reshape(-1, 6) @ weights + bias).reshape(x.shape)
    np.testing.assert_allclose(linear_map(x, y)(x[:9]), y[:9], atol=1e-4)
    seen = linear_map(x + 0.5 * random.standard_normal(x.shape), x)(np.ones((1, 2, 3)))
    np.testing.assert_allclose(seen, 1 / (1 + 0.25), atol=0.1)


def test_the_best_filter_is_by_score_of_what_was_cut() -> None:
    y = np.full((3, 4), 0.9)
    # 0.6 of a pixel, and 1 after the cut
    filters = {"near": lambda x: x + 0.1, "far above": lambda x: x + 9.0}
    assert best(filters, np.full((3, 4), 0.5), y, psnr) == "far above"
