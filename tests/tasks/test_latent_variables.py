"""Inputs of variational autoencoders: pixels, and noise by example."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from dlcore.data.source import arrays
from dlcore.kernels import random
from dlcore.kernels.latent import continuous_bernoulli_mean
from dlcore.models.vae import log_likelihood
from dlcore.tasks import latent_variables
from tests.tasks.test_predictors import untrained

IMAGES = np.array([[[[0], [255]], [[51], [204]]]] * 2, np.uint8)
BATCH: Any = {"image": IMAGES, "row": np.array([4, 9])}


@pytest.mark.slow
def test_grey_images_keep_their_shape_and_noise_depends_on_the_row_alone() -> None:
    key = jax.random.key(3)
    x, noise = latent_variables.inputs(5, samples=2)(BATCH, key, True)
    np.testing.assert_allclose(np.asarray(x)[0, :, :, 0], [[0, 1], [0.2, 0.8]], rtol=1e-6)
    swapped: Any = {"image": IMAGES, "row": np.array([9, 4])}
    np.testing.assert_array_equal(noise, latent_variables.inputs(5, 2)(swapped, key, True)[1][::-1])
    np.testing.assert_array_equal(noise, random.normal(key, BATCH["row"], (2, 5)))


@pytest.mark.slow
def test_binary_pixels_are_flat_and_black_and_white_stay() -> None:
    x, noise = latent_variables.inputs(3, binary=True)(BATCH, jax.random.key(0), True)
    assert noise.shape == (2, 1, 3)
    assert x.shape == (2, 4)
    assert set(np.unique(x)) <= {0.0, 1.0}
    np.testing.assert_array_equal(np.asarray(x)[:, :2], [[0, 1], [0, 1]])
    drawn = [
        latent_variables.inputs(3, binary=True)(BATCH, jax.random.key(i), True)[0]
        for i in range(200)
    ]
    np.testing.assert_allclose(np.mean(drawn, (0, 1))[2:], [0.2, 0.8], atol=0.06)


def test_at_initialisation_nothing_is_drawn() -> None:
    x, noise = latent_variables.inputs(3, samples=7, binary=True)(BATCH, None, False)
    np.testing.assert_allclose(np.asarray(x)[0], [0, 1, 0.2, 0.8], rtol=1e-6)
    assert noise.shape == (2, 1, 3)
    assert not np.any(noise)


def test_the_likelihood_is_of_the_first_images_and_interpolations_have_their_ends() -> None:
    experiment, state = untrained("vae_fashion_mnist")
    model: Any = experiment.models[0]
    images = np.random.default_rng(0).integers(0, 256, (24, 28, 28, 1), np.uint8)
    test = arrays("made", "1", "test", {"image": images})
    draw = latent_variables.samples(model, test, continuous_bernoulli_mean)
    found: Any = draw(state, jax.random.key(0))
    _, ends, pairs = found
    rows = np.asarray(ends.images).reshape(10, 10, 28, 28)
    reconstructed = np.asarray(pairs.images)[20:]
    np.testing.assert_allclose(rows[:, 0], reconstructed[:10], atol=1e-5)
    np.testing.assert_allclose(rows[:, -1], reconstructed[10:], atol=1e-5)
    np.testing.assert_allclose(np.asarray(pairs.images)[:20], images[:20, ..., 0] / 255, atol=1e-6)


def test_the_negative_log_likelihood_is_the_mean_over_the_images_that_count() -> None:
    experiment, state = untrained("vae_mnist")
    model: Any = experiment.models[0]
    images = np.random.default_rng(0).integers(0, 256, (6, 28, 28, 1), np.uint8)
    test = arrays("made", "1", "test", {"image": images})
    found = latent_variables.nll_evaluator(model, test, 20, 4).score(state, {}, "test")
    x = images[:4].reshape(4, -1).astype(np.float32) / 255
    each = log_likelihood(model.net, state.params["net"], x, jax.random.key(0), 20, 20)
    assert found == {"nll_20": pytest.approx(-float(np.mean(each)), rel=1e-5)}
    assert found["nll_20"] > 0
