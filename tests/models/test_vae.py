"""Variational autoencoders: their bounds, and their likelihood against an integral over the latent
space.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from dlcore.kernels.latent import bernoulli_log_density, gaussian_kl, gaussian_log_density
from dlcore.models.mlp import MLP
from dlcore.models.vae import VAE, ConvLikelihood, ConvPosterior, drawn, log_likelihood
from tests.models.compiled import apply, init

pytestmark = pytest.mark.slow

X = (np.random.default_rng(0).random((5, 6)) < 0.4).astype(np.float32)


def made() -> tuple[VAE, Any]:
    """A small VAE of one latent number, away from its zero biases."""
    net = VAE(MLP((8,), classes=2), MLP((8,), classes=6), 1, bernoulli_log_density)
    params = init(net, jax.random.key(0), X, jnp.zeros((5, 1, 1)))["params"]
    params = jax.tree.map(
        lambda p: p + 0.3 * jax.random.normal(jax.random.key(p.size), p.shape), params
    )
    # Wide: the weights of samples of a posterior that is too narrow have no variance.
    params["encoder"]["Dense_1"]["bias"] = jnp.array([0.0, 2.5])
    return net, params


NET, PARAMS = made()


def exact() -> np.ndarray:
    """log p(x) by a sum over a fine grid of z."""
    z = np.linspace(-8, 8, 4001)
    logits = np.asarray(drawn(NET, PARAMS, jnp.asarray(z[:, None], jnp.float32)), np.float64)
    explained = X @ logits.T - np.logaddexp(0, logits).sum(1)
    return scipy.special.logsumexp(explained + scipy.stats.norm.logpdf(z), 1) + np.log(z[1] - z[0])


def test_bounds_are_the_parts_they_are_called() -> None:
    noise = jax.random.normal(jax.random.key(1), (5, 3, 1))
    bounds = apply(NET, {"params": PARAMS}, X, noise)
    mean, log_var = apply(NET, {"params": PARAMS}, X, method=VAE.posterior)
    weights = []
    for k in range(3):
        z = mean + jnp.exp(log_var / 2) * noise[:, k]
        joint = bernoulli_log_density(X, drawn(NET, PARAMS, z)) + gaussian_log_density(
            z, jnp.zeros((1, 1)), jnp.zeros((1, 1))
        )
        weights.append(joint - gaussian_log_density(z, mean, log_var))
    np.testing.assert_allclose(
        bounds.importance, jax.nn.logsumexp(jnp.stack(weights), 0) - np.log(3), rtol=1e-5
    )
    np.testing.assert_allclose(bounds.kl, gaussian_kl(mean, log_var), rtol=1e-6)
    np.testing.assert_allclose(bounds.elbo, bounds.reconstruction - bounds.kl, rtol=1e-6)


def test_one_sample_of_the_importance_bound_is_the_elbo_on_average_and_more_are_higher() -> None:
    noise = jax.random.normal(jax.random.key(2), (5, 20000, 1))
    run = jax.jit(lambda noise: NET.apply({"params": PARAMS}, X, noise))
    elbo, one = run(noise).elbo, jax.vmap(lambda n: run(n).importance, 1)(noise[:, :, None])
    np.testing.assert_allclose(one.mean(0), elbo, atol=0.05)
    five = jax.vmap(lambda n: run(n).importance, 1)(noise.reshape(5, 4000, 5, 1)).mean(0)
    assert (five > elbo).all()
    assert (five < exact() + 0.01).all()


def test_likelihood_equals_the_integral_and_neither_chunks_nor_batches_change_it() -> None:
    key = jax.random.key(3)
    found = log_likelihood(NET, PARAMS, X, key, samples=20000, chunk=5000, batch=5)
    np.testing.assert_allclose(found, exact(), atol=0.03)
    few = log_likelihood(NET, PARAMS, X, key, samples=60, chunk=60, batch=5)
    for chunk, batch in ((10, 5), (1, 2), (30, 3)):
        np.testing.assert_allclose(
            log_likelihood(NET, PARAMS, X, key, 60, chunk, batch), few, rtol=1e-6
        )
    assert (log_likelihood(NET, PARAMS, X, jax.random.key(4), 60, 60) != few).all()
    with pytest.raises(ValueError, match="do not divide"):
        log_likelihood(NET, PARAMS, X, key, 60, 7)


class Exact(nn.Module):
    """The posterior of x = 2 z + e: mean 2x/5, variance 1/5."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.concatenate([0.4 * x, jnp.full_like(x, np.log(0.2))], 1)


class Twice(nn.Module):
    """2 z."""

    def __call__(self, z: jax.Array) -> jax.Array:
        return 2 * z


def test_an_exact_posterior_needs_one_sample() -> None:
    net = VAE(
        Exact(), Twice(), 1, lambda x, mean: gaussian_log_density(x, mean, jnp.zeros_like(mean))
    )
    x = np.array([[0.5], [-3.0], [2.0]], np.float32)
    want = scipy.stats.norm(scale=np.sqrt(5)).logpdf(x[:, 0])
    np.testing.assert_allclose(log_likelihood(net, {}, x, jax.random.key(0), 1, 1), want, atol=1e-5)


def test_convolutional_halves_fit_together() -> None:
    net = VAE(ConvPosterior((4, 6), 3), ConvLikelihood((6, 4), side=2), 3, bernoulli_log_density)
    x = jax.random.bernoulli(jax.random.key(1), 0.5, (2, 8, 8, 1)).astype(float)
    noise = jax.random.normal(jax.random.key(2), (2, 4, 3))
    params = init(net, jax.random.key(0), x, noise[:, :1])["params"]

    @jax.jit
    def elbo(x: jax.Array, noise: jax.Array) -> jax.Array:
        return net.apply({"params": params}, x, noise).elbo

    both = elbo(x, noise)
    for row in range(2):
        np.testing.assert_allclose(
            elbo(x[row : row + 1], noise[row : row + 1])[0], both[row], rtol=1e-5
        )
    slope = np.asarray(jax.jit(jax.grad(lambda x: elbo(x, noise)[0]))(x))
    assert slope[0].all()
    assert not slope[1].any()
