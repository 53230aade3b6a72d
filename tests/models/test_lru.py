"""Linear recurrent units: their equation in complex numbers, and their ring."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from dlcore.models.lru import LRU, Classifier
from tests.models.compiled import apply, init

pytestmark = pytest.mark.slow


def test_the_layer_is_its_equation_in_complex_numbers() -> None:
    net = LRU(states=5, min_radius=0.5, max_radius=0.9, max_phase=3.0)
    x = np.random.default_rng(0).standard_normal((7, 2, 3))
    variables = init(net, jax.random.key(1), jnp.asarray(x, jnp.float32))
    p = {
        name: np.asarray(value, np.float64)
        for name, value in flatten_dict(variables["params"], sep="/").items()
    }
    decay = np.exp(-np.exp(p["size"]) + 1j * np.exp(p["angle"]))
    assert (np.abs(decay) >= 0.5).all()
    assert (np.abs(decay) <= 0.9).all()
    assert (np.exp(p["angle"]) <= 3).all()
    np.testing.assert_allclose(np.exp(p["scale"]), np.sqrt(1 - np.abs(decay) ** 2), rtol=1e-5)
    into, out = (
        p["in/kernel"][:, :5] + 1j * p["in/kernel"][:, 5:],
        p["out/kernel"][:5] - 1j * p["out/kernel"][5:],
    )
    h, expected = np.zeros((2, 5), complex), []
    for t in range(7):
        h = decay * h + np.sqrt(1 - np.abs(decay) ** 2) * (x[t] @ into)
        expected.append((h @ out).real + p["skip"] * x[t])
    np.testing.assert_allclose(
        apply(net, variables, jnp.asarray(x, jnp.float32)), np.stack(expected), rtol=1e-4, atol=1e-5
    )


def test_states_of_noise_have_the_size_of_the_noise() -> None:
    """By the factor sqrt(1 - |decay|^2) the variance of the states does not depend on |decay|."""
    net = LRU(states=64, min_radius=0.0, max_radius=0.99)
    x = jax.random.normal(jax.random.key(0), (1000, 4, 16))
    y = apply(net, init(net, jax.random.key(1), x), x)
    assert 0.7 < float(y[500:].std()) < 2.5


def test_the_order_of_the_sequence_matters() -> None:
    net = Classifier(width=8, states=8, layers=1, classes=3)
    x = jax.random.normal(jax.random.key(0), (2, 20, 1))
    variables = init(net, jax.random.key(1), x)
    assert np.abs(apply(net, variables, x) - apply(net, variables, x[:, ::-1])).max() > 1e-3
