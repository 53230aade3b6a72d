"""Corpus metrics against SciPy and worked examples."""

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from dlcore.metrics import frechet


def test_frechet_of_two_one_dimensional_samples_by_hand() -> None:
    # Means 1 and 4, variances 2 and 2: (1 - 4)^2 + 2 + 2 - 2 sqrt(2 * 2) = 9.
    assert frechet(np.array([[0.0], [2.0]]), np.array([[3.0], [5.0]])) == pytest.approx(9.0, abs=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_frechet_equals_the_matrix_square_root(seed: int, d: int) -> None:
    random = np.random.default_rng(seed)
    a = random.normal(size=(40, d)) @ random.normal(size=(d, d))
    b = random.normal(size=(50, d)) @ random.normal(size=(d, d)) + random.normal(size=d)
    ca, cb = np.atleast_2d(np.cov(a, rowvar=False)), np.atleast_2d(np.cov(b, rowvar=False))
    root = np.real(scipy.linalg.sqrtm(ca @ cb))
    want = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb - 2 * root)
    assert frechet(a, b) == pytest.approx(want, rel=1e-5, abs=1e-6)
    assert frechet(a, b) == pytest.approx(frechet(b, a), rel=1e-9)


def test_frechet_of_a_sample_and_itself_is_zero_also_where_features_are_constant() -> None:
    a = np.random.default_rng(0).normal(size=(30, 5))
    a[:, 2] = 7.0  # a dead feature: a singular covariance
    assert frechet(a, a) == pytest.approx(0.0, abs=1e-9)
    assert frechet(a, a + 1) == pytest.approx(5.0, rel=1e-9)


@pytest.mark.parametrize(("a", "b"), [((3, 2), (3, 4)), ((1, 2), (3, 2)), ((3,), (3,))])
def test_frechet_refuses_what_it_cannot_compare(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="features must be"):
        frechet(np.zeros(a), np.zeros(b))
