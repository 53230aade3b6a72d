"""Noise, blur and binarisation: against SciPy, and each row's own."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from dlcore.kernels.corrupt import binarise, blur_matrix, gaussian_blur, gaussian_noise
from tests.kernels.case import Case

ROWS = np.arange(4, dtype=np.int32)
SHAPE = (5, 6, 1)


def key() -> jax.Array:
    """The key of all tests here."""
    return jax.random.key(2)


def noisy(rows: np.ndarray, images: np.ndarray) -> np.ndarray:
    """One image after the other."""
    drawn = [
        np.asarray(jax.random.normal(jax.random.fold_in(key(), int(row)), images.shape[1:]))
        for row in rows
    ]
    return images + 0.3 * np.stack(drawn)


def binary(rows: np.ndarray, images: np.ndarray) -> np.ndarray:
    """One image after the other."""
    drawn = [
        np.asarray(jax.random.uniform(jax.random.fold_in(key(), int(row)), images.shape[1:]))
        for row in rows
    ]
    return (np.stack(drawn) < images).astype(np.float64)


def blurred(images: np.ndarray) -> np.ndarray:
    """SciPy's, zeros outside."""
    return scipy.ndimage.gaussian_filter(images, (0, 1.3, 1.3, 0), mode="constant", truncate=4)


def blurred_by_matrix(images: np.ndarray) -> np.ndarray:
    """[n, m] blurred along its first axis."""
    return scipy.ndimage.gaussian_filter1d(images, 1.3, axis=0, mode="constant", truncate=4)


def _shares(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return ROWS, generator.random((4, *SHAPE))


CASES = {
    "gaussian_noise": Case(
        lambda rows, x: gaussian_noise(key(), rows, x, 0.3),
        noisy,
        _shares,
        grads=(1,),
        batched=(0, 1),
        edges={
            "huge": (ROWS[:1], np.full((1, 2), 1e30)),
            "not finite": (ROWS[:1], np.array([[np.nan, np.inf]])),
        },
    ),
    "binarise": Case(
        lambda rows, x: binarise(key(), rows, x),
        binary,
        _shares,
        batched=(0, 1),
        f32=0,
        bf16=0,
        edges={
            "certain": (ROWS[:1], np.array([[0.0, 1.0]])),
            "tiny": (ROWS[:1], np.array([[1e-30, 1 - 1e-30]])),
        },
    ),
    "gaussian_blur": Case(
        lambda x: gaussian_blur(x, 1.3),
        blurred,
        lambda generator: _shares(generator)[1:],
        grads=(0,),
        edges={
            "one pixel": (np.ones((1, 1, 1, 1)),),
            "huge": (np.full((1, 3, 3, 1), 1e30),),
            "tiny": (np.full((1, 3, 3, 1), 1e-30),),
        },
    ),
    "blur_matrix": Case(
        lambda x: (
            jnp.asarray(
                blur_matrix(x.shape[0], 1.3), jnp.promote_types(x.dtype, jnp.float32)
            ).astype(x.dtype)
            @ x
        ),
        blurred_by_matrix,
        lambda generator: (generator.random((6, 3)),),
        batched=(),
    ),
}


@pytest.mark.slow
def test_binarisation_keeps_the_mean_and_leaves_black_and_white_alone() -> None:
    share = jnp.broadcast_to(jnp.array([0.0, 0.2, 0.7, 1.0]), (5000, 4))
    drawn = np.asarray(binarise(key(), jnp.arange(5000), share))
    assert set(np.unique(drawn)) == {0.0, 1.0}
    np.testing.assert_allclose(drawn.mean(0), [0, 0.2, 0.7, 1], atol=0.025)
    np.testing.assert_array_equal(drawn.std(0)[[0, 3]], 0)


@pytest.mark.slow
def test_noise_has_its_deviation_and_rows_take_theirs_along() -> None:
    rows, images = jnp.arange(300), jnp.full((300, 4, 4, 1), 0.5)
    noisy = np.asarray(gaussian_noise(key(), rows, images, 0.5))
    assert noisy.mean() == pytest.approx(0.5, abs=0.03)
    assert noisy.std() == pytest.approx(0.5, abs=0.02)
    order = np.random.default_rng(0).permutation(300)
    np.testing.assert_array_equal(gaussian_noise(key(), rows[order], images, 0.5), noisy[order])


@pytest.mark.slow
def test_blur_keeps_the_sum_of_what_is_far_from_the_edge_and_0_changes_nothing() -> None:
    point = jnp.zeros((1, 31, 31, 1)).at[0, 15, 15, 0].set(3.0)
    spread = gaussian_blur(point, 2.0)
    assert float(spread.sum()) == pytest.approx(3.0, rel=1e-5)
    assert float(spread.max()) == pytest.approx(3 / (2 * np.pi * 4), rel=0.02)
    np.testing.assert_array_equal(gaussian_blur(point, 0.0), point)


def test_negative_sizes_are_refused() -> None:
    for call in (
        lambda: gaussian_noise(key(), ROWS, jnp.ones((4, 2)), -1.0),
        lambda: blur_matrix(3, -1.0),
    ):
        with pytest.raises(ValueError, match="negative"):
            call()
