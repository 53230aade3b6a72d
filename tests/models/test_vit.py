"""Vision Transformers: which pixels make a patch, and that places matter."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.errors import UsageError
from dlcore.models.encoder import Encoder
from dlcore.models.vit import Size, ViT

SIZE = Size(layers=1, heads=2, width=8, context=4, positions="learned")
X = np.random.default_rng(0).standard_normal((3, 4, 6, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def params() -> Any:
    """Parameters none of which is zero."""
    shape = jax.eval_shape(
        lambda: ViT(SIZE, patch=(2), classes=3).init(jax.random.key(0), jnp.zeros((1, 4, 4, 2)))
    )["params"]
    generator = np.random.default_rng(1)
    return jax.tree.map(
        lambda x: jnp.asarray(0.5 * generator.standard_normal(x.shape), jnp.float32), shape
    )


def run(params: Any, x: Any) -> np.ndarray:
    """Logits, in evaluation."""
    return np.asarray(jax.jit(ViT(SIZE, patch=2, classes=3).apply)({"params": params}, x))


@pytest.mark.slow
def test_is_a_mean_over_encoded_patches(params: Any) -> None:
    """Patches cut out one by one, row by row; the encoder itself has its own test."""
    patches = np.stack(
        [[x[i : i + 2, j : j + 2].ravel() for i in (0, 2) for j in (0, 2)] for x in X]
    )
    tokens = patches @ np.asarray(params["embed"]["kernel"]) + np.asarray(params["embed"]["bias"])
    seen = np.asarray(Encoder(SIZE).apply({"params": params["encoder"]}, tokens)).mean(1)
    expected = seen @ np.asarray(params["head"]["kernel"]) + np.asarray(params["head"]["bias"])
    np.testing.assert_allclose(run(params, X[:, :, :4]), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_patches_in_another_order_are_another_image_unless_there_are_no_positions(
    params: Any,
) -> None:
    images = X[:, :, :4]
    swapped = np.concatenate([images[:, 2:], images[:, :2]], 1)  # the lower half above the upper
    assert np.abs(run(params, images) - run(params, swapped)).max() > 1e-3
    nowhere = {**params, "encoder": {**params["encoder"], "positions": jnp.zeros((4, 8))}}
    np.testing.assert_allclose(run(nowhere, images), run(nowhere, swapped), rtol=1e-4, atol=1e-5)


def test_images_that_do_not_fit_are_refused(params: Any) -> None:
    with pytest.raises(UsageError, match="--patch 2 does not divide images of 3 x 4"):
        run(params, X[:, :3, :4])
    with pytest.raises(ValueError, match="6 tokens are more than the 4 learned positions"):
        run(params, X)
