"""Variational autoencoders (Kingma & Welling 2014) with a diagonal Gaussian posterior, and their
likelihood by importance sampling.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.kernels import random
from dlcore.kernels.activations import gelu
from dlcore.kernels.latent import gaussian_kl, gaussian_log_density, importance_bound
from dlcore.models.autoencoder import ConvDecoder, ConvEncoder

# (x, what the decoder says of it) -> log p(x | z), both [..., n] -> [...]
LogDensity = Callable[[Array, Array], Array]


class Bounds(NamedTuple):
    """What one pass says of each example: `elbo` and its two parts, and the tighter `importance` of
    all K samples; all [batch].
    """

    elbo: Array
    reconstruction: Array
    kl: Array
    importance: Array


class VAE(nn.Module):
    """`encoder`: x to the mean and log variance of q(z | x), `latent` each; `decoder`: z to the
    parameters of p(x | z).
    """

    encoder: nn.Module
    decoder: nn.Module
    latent: int
    log_density: LogDensity

    def posterior(self, x: Array) -> tuple[Array, Array]:
        """x [batch, ...] -> mean and log variance, [batch, latent]."""
        both = self.encoder(x)
        return both[:, : self.latent], both[:, self.latent :]

    def decode(self, z: Array) -> Array:
        """z [batch, latent] -> parameters [batch, n]."""
        y = self.decoder(z)
        return y.reshape(len(y), -1)

    def explained(self, x: Array, z: Array) -> Array:
        """log p(x | z): x [batch, ...] and z [batch, K, latent] -> [batch, K]."""
        batch, samples, latent = z.shape
        said = self.decode(z.reshape(batch * samples, latent)).reshape(batch, samples, -1)
        return self.log_density(x.reshape(batch, 1, -1), said)

    def __call__(self, x: Array, noise: Array) -> Bounds:
        """x [batch, ...] and standard normal noise [batch, K, latent], through which gradients
        reach the posterior.
        """
        mean, log_var = self.posterior(x)
        z = mean[:, None] + jnp.exp(0.5 * log_var)[:, None] * noise
        explained, kl = self.explained(x, z), gaussian_kl(mean, log_var)
        reconstruction = explained.mean(1)
        weights = explained + _prior_over_posterior(z, noise, log_var)
        return Bounds(reconstruction - kl, reconstruction, kl, importance_bound(weights))


class ConvPosterior(nn.Module):
    """A convolutional encoder of images, to the mean and log variance of `latent` numbers."""

    widths: Sequence[int]
    latent: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x [batch, height, width, c] -> [batch, 2 latent]."""
        x = ConvEncoder(self.widths)(x)
        return nn.Dense(2 * self.latent)(x.reshape(len(x), -1))


class ConvLikelihood(nn.Module):
    """A convolutional decoder, from z to images of `side` 2^n pixels a side for n widths."""

    widths: Sequence[int]
    side: int = 7
    channels: int = 1

    @nn.compact
    def __call__(self, z: Array) -> Array:
        """z [batch, latent] -> [batch, side 2^n, side 2^n, channels]."""
        x = gelu(nn.Dense(self.side * self.side * self.widths[0])(z))
        return ConvDecoder(self.widths, self.channels)(
            x.reshape(-1, self.side, self.side, self.widths[0])
        )


def _prior_over_posterior(z: Array, noise: Array, log_var: Array) -> Array:
    """log p(z) - log q(z | x) of z = mean + e^(log_var / 2) noise: [batch, K, latent] -> [batch,
    K].
    """
    zero = jnp.zeros((1,) * z.ndim, z.dtype)
    return (
        gaussian_log_density(z, zero, zero)
        - gaussian_log_density(noise, zero, zero)
        + 0.5 * log_var.sum(-1)[:, None]
    )


def drawn(net: VAE, params: Any, z: Array) -> Array:
    """What the decoder says of z [N, latent]: [N, n]."""
    return jax.jit(lambda params, z: net.apply({"params": params}, z, method=VAE.decode))(params, z)


def log_likelihood(
    net: VAE,
    params: Any,
    x: np.ndarray,
    key: Array,
    samples: int,
    chunk: int = 100,
    batch: int = 20,
) -> np.ndarray:
    """log p(x) of each example by `samples` importance samples (Burda et al. 2016, eq. 8): x [N,
    ...] -> float32 [N].

    `batch` examples and `chunk` samples of each are decoded at a time and their weights summed as
    they come. Sample k of example i is keyed by (i, k): neither size changes the result, beyond
    rounding. Raises ValueError unless `chunk` divides `samples`.
    """
    if samples % chunk:
        raise ValueError(f"{samples} samples do not divide into chunks of {chunk}")

    @jax.jit
    def of(params: Any, x: Array, row: Array) -> Array:
        run: Callable[..., Any] = functools.partial(net.apply, {"params": params}, x)
        mean, log_var = run(method=VAE.posterior)
        width = jnp.exp(0.5 * log_var)

        def more(part: Array, total: Array) -> Array:
            number = part * chunk + jnp.arange(chunk)
            draw = lambda k: random.normal(k, number, mean.shape[1:])  # noqa: E731
            noise = random.per_example(draw, key, row)
            z = mean[:, None] + width[:, None] * noise
            weights = run(z, method=VAE.explained) + _prior_over_posterior(z, noise, log_var)
            return jnp.logaddexp(total, jax.nn.logsumexp(weights, -1))

        return jax.lax.fori_loop(0, samples // chunk, more, jnp.full(len(x), -jnp.inf)) - jnp.log(
            samples
        )

    rows = np.arange(len(x) + -len(x) % batch).reshape(-1, batch)
    found = [np.asarray(of(params, x[row % len(x)], row.astype(np.int32))) for row in rows]
    return np.concatenate(found)[: len(x)]
