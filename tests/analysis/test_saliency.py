"""Saliency: the pixels that change the output, and no others."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.analysis.saliency import gradient_map, overlay


@pytest.mark.slow
def test_maps_are_norms_of_gradients() -> None:
    weight = jnp.asarray(np.random.default_rng(0).standard_normal((3, 4, 2)), jnp.float32)
    images = jnp.ones((5, 3, 4, 2))
    found = gradient_map(lambda x: (x * weight[None]).sum((1, 2, 3)), images, jax.random.key(0))
    expected = jnp.sqrt((weight**2).sum(-1))
    np.testing.assert_allclose(found, jnp.broadcast_to(expected[None], (5, 3, 4)), rtol=1e-6)


@pytest.mark.slow
def test_noise_averages_over_a_kink() -> None:
    """Where half of the noisy copies have a gradient of 1 and the others of 0."""
    images = jnp.zeros((1, 2, 2, 1))
    found = gradient_map(
        lambda x: jax.nn.relu(x).sum((1, 2, 3)), images, jax.random.key(0), 1.0, 400
    )
    np.testing.assert_allclose(found, np.sqrt(0.5), atol=0.06)


def test_red_is_where_the_map_is_large() -> None:
    image = np.full((1, 4, 4, 3), 100, np.uint8)
    maps = np.zeros((1, 4, 4))
    maps[0, 1, 2] = 1
    drawn = overlay(image, maps, 1.0)
    assert drawn[0, 1, 2].tolist() == [255, 40, 20]
    assert (drawn[0][maps[0] == 0] == 100).all()
    assert (overlay(image, np.zeros((1, 4, 4))) == 100).all()
