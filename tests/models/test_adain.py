"""Adaptive instance normalisation by hand, and the decoder of its activations."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels.style import adain
from dlcore.models.adain import Decoder
from tests.models.compiled import apply, init


@pytest.mark.slow
@pytest.mark.quick
def test_channels_get_mean_and_deviation_of_the_style() -> None:
    content = jnp.array([1.0, 3.0, 5.0, 7.0]).reshape(1, 2, 2, 1)  # mean 4, variance 5
    style = jnp.array([10.0, 14.0]).reshape(1, 1, 2, 1)  # mean 12, variance 4
    expected = 12 + 2 * np.array([-3, -1, 1, 3]) / np.sqrt(5)
    np.testing.assert_allclose(adain(content, style, 0.0).ravel(), expected, rtol=1e-6)
    np.testing.assert_allclose(adain(content, content), content, atol=1e-4)
    both = adain(jnp.tile(content, (2, 1, 1, 1)), jnp.concatenate([style, style + 5]))
    np.testing.assert_allclose(both[1] - both[0], 5, rtol=1e-5)  # each picture by itself
    flat = adain(jnp.ones((1, 2, 2, 1)), style)
    np.testing.assert_allclose(flat, 12, rtol=1e-6)  # no deviation: finite


@pytest.mark.nightly
def test_a_picture_is_eight_times_as_large_and_independent_of_others() -> None:
    x = jax.random.normal(jax.random.key(0), (2, 2, 3, 5))
    net = Decoder(6)
    variables = init(net, jax.random.key(1), x)
    found = apply(net, variables, x)
    assert found.shape == (2, 16, 24, 3)
    assert 0 < float(found.min()) < float(found.max()) < 1
    np.testing.assert_allclose(apply(net, variables, x[1:]), found[1:], atol=1e-6)
