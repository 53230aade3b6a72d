"""Restoration of images: which are degraded and how, and the loss with its PSNR."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels.corrupt import gaussian_blur, gaussian_noise
from dlcore.tasks import restoration

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 6, 5, 1)).astype(np.uint8)
GREY = IMAGES.astype(np.float32) / 255
BATCH: Any = {"image": jnp.asarray(IMAGES), "row": jnp.array([4, 9, 1]), "mask": jnp.ones(3)}


@pytest.mark.slow
def test_images_are_blurred_and_then_noisy() -> None:
    """Up to the rounding of values around 1, which differs between processors."""
    key = jax.random.key(1)
    expected = gaussian_noise(key, BATCH["row"], gaussian_blur(GREY, 1.5), 0.2)
    found = restoration.inputs(1.5, 0.2)(BATCH, key, True)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
    sharp = gaussian_noise(key, BATCH["row"], GREY, 0.2)
    found = restoration.inputs(0.0, 0.2)(BATCH, key, True)
    np.testing.assert_allclose(found, sharp, rtol=1e-6, atol=1e-7)


def test_degraded_images_and_those_of_the_initialisation_stay() -> None:
    inputs = restoration.inputs(1.5, 0.2)
    np.testing.assert_allclose(inputs(BATCH, None, False), GREY, rtol=1e-6)
    given = {**BATCH, "degraded": jnp.full(IMAGES.shape, -2.0)}
    np.testing.assert_array_equal(inputs(given, jax.random.key(1), False), given["degraded"])


@pytest.mark.slow
def test_the_loss_is_cross_entropy_and_psnr_is_the_mean_over_images() -> None:
    logits = np.random.default_rng(1).normal(size=IMAGES.shape).astype(np.float32)

    def model(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
        return (jnp.asarray(logits), None), extra

    batch = {**BATCH, "mask": jnp.array([1.0, 0.0, 1.0])}
    out = restoration.loss(model)({}, {}, batch, jax.random.key(0), True)  # type: ignore[arg-type]
    y = 1 / (1 + np.exp(-logits.astype(np.float64)))
    xent = -(GREY * np.log(y) + (1 - GREY) * np.log(1 - y)).mean((1, 2, 3))
    psnr = -10 * np.log10(((y - GREY) ** 2).mean((1, 2, 3)))
    assert float(out.loss.weight) == 2
    np.testing.assert_allclose(out.loss.total, xent[[0, 2]].sum(), rtol=1e-5)
    np.testing.assert_allclose(out.metrics["psnr"].total, psnr[[0, 2]].sum(), rtol=1e-5)
