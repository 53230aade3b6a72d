"""Variational autoencoders with Gaussian posteriors; their likelihood by importance sampling."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, PRNGKeyArray

from dlcore.kernels import random
from dlcore.kernels.activations import gelu
from dlcore.kernels.latent import gaussian_kl, gaussian_log_density, importance_bound
from dlcore.models.autoencoder import ConvDecoder, ConvEncoder
from dlcore.sharding import Tree

# (x, parameters of p(x | z)) -> log p(x | z), both [..., n] -> [...]
LogDensity = Callable[[Array, Array], Array]


class Bounds(NamedTuple):
    """Bounds on log p(x) of each example, in nats; all [batch].

    Attributes:
        elbo: evidence lower bound, `reconstruction` - `kl`.
        reconstruction: mean of log p(x | z) over the samples of z.
        kl: KL divergence of the posterior from the prior.
        importance: the tighter bound by importance weighting of all samples.
    """

    elbo: Array
    reconstruction: Array
    kl: Array
    importance: Array


class VAE(nn.Module):
    """Bounds log p(x) by a variational autoencoder with a standard normal prior.

    Maps examples [batch, ...] and standard normal noise [batch, samples, latent] to `Bounds`.

    Attributes:
        encoder: x [batch, ...] -> mean, then log variance of q(z | x), [batch, 2 latent].
        decoder: z [batch, latent] -> parameters of p(x | z) [batch, ...], n numbers per example.
        latent: size of z.
        log_density: (flattened x [batch, 1, n], parameters [batch, samples, n]) -> log p(x | z) in
            nats [batch, samples].

    Source: Kingma & Welling 2014.
    """

    encoder: nn.Module
    decoder: nn.Module
    latent: int
    log_density: LogDensity

    def posterior(
        self, x: Float[Array, "batch ..."]
    ) -> tuple[Float[Array, "batch latent"], Float[Array, "batch latent"]]:
        """Computes mean and log variance of q(z | x), each [batch, latent], of x [batch, ...]."""
        both = self.encoder(x)
        return both[:, : self.latent], both[:, self.latent :]

    def decode(self, z: Float[Array, "batch latent"]) -> Float[Array, "batch n"]:
        """Computes the parameters of p(x | z) [batch, n] of z [batch, latent]."""
        y = self.decoder(z)
        return y.reshape(len(y), -1)

    def explained(
        self, x: Float[Array, "batch ..."], z: Float[Array, "batch samples latent"]
    ) -> Float[Array, "batch samples"]:
        """Computes log p(x | z) of several samples of z for each example.

        Args:
            x: examples [batch, ...].
            z: samples [batch, samples, latent].

        Returns:
            [batch, samples], in nats.
        """
        batch, samples, latent = z.shape
        decoded = self.decode(z.reshape(batch * samples, latent)).reshape(batch, samples, -1)
        return self.log_density(x.reshape(batch, 1, -1), decoded)

    def __call__(
        self, x: Float[Array, "batch ..."], noise: Float[Array, "batch samples latent"]
    ) -> Bounds:
        """Computes bounds on log p(x) from samples z = mean + exp(log_var / 2) noise.

        Args:
            x: examples [batch, ...].
            noise: standard normal noise [batch, samples, latent].
        """
        mean, log_var = self.posterior(x)
        z = mean[:, None] + jnp.exp(0.5 * log_var)[:, None] * noise
        explained, kl = self.explained(x, z), gaussian_kl(mean, log_var)
        reconstruction = explained.mean(1)
        weights = explained + _prior_over_posterior(z, noise, log_var)
        return Bounds(reconstruction - kl, reconstruction, kl, importance_bound(weights))


class ConvPosterior(nn.Module):
    """Encodes images to mean and log variance of a posterior by convolutions.

    Maps images [batch, height, width, c] to [batch, 2 latent]: the mean, then the log variance.

    Attributes:
        widths: channels of each level; every level halves height and width.
        latent: size of z.
    """

    widths: Sequence[int]
    latent: int

    @nn.compact
    def __call__(self, x: Float[Array, "batch height width c"]) -> Float[Array, "batch n"]:
        """Computes mean and log variance [batch, 2 latent] of images [batch, height, width, c]."""
        x = ConvEncoder(self.widths)(x)
        return nn.Dense(2 * self.latent)(x.reshape(len(x), -1))


class ConvLikelihood(nn.Module):
    """Decodes z to the parameters of p(x | z) for images by convolutions.

    Maps z [batch, latent] to [batch, side * 2^n, side * 2^n, channels], for n widths.

    Attributes:
        widths: channels of each level; every level doubles height and width.
        side: height and width of the grid that z is mapped to, before the first level.
        channels: of the image.
    """

    widths: Sequence[int]
    side: int = 7
    channels: int = 1

    @nn.compact
    def __call__(self, z: Float[Array, "batch latent"]) -> Float[Array, "batch height width c"]:
        """Decodes z [batch, latent] to parameters [batch, side 2^n, side 2^n, channels]."""
        x = gelu(nn.Dense(self.side * self.side * self.widths[0])(z))
        return ConvDecoder(self.widths, self.channels)(
            x.reshape(-1, self.side, self.side, self.widths[0])
        )


def _prior_over_posterior(z: Array, noise: Array, log_var: Array) -> Array:
    """log p(z) - log q(z | x) [batch, K] of z = mean + exp(log_var / 2) noise.

    Args:
        z, noise: [batch, K, latent].
        log_var: [batch, latent].
    """
    zero = jnp.zeros((1,) * z.ndim, z.dtype)
    return (
        gaussian_log_density(z, zero, zero)
        - gaussian_log_density(noise, zero, zero)
        + 0.5 * log_var.sum(-1)[:, None]
    )


def drawn(net: VAE, params: Tree, z: Float[Array, "batch latent"]) -> Float[Array, "batch n"]:
    """Decodes z [batch, latent] to the parameters of p(x | z) [batch, n]."""
    return jax.jit(lambda params, z: net.apply({"params": params}, z, method=VAE.decode))(params, z)


def log_likelihood(
    net: VAE,
    params: Tree,
    x: Float[np.ndarray, "n ..."],
    key: PRNGKeyArray,
    samples: int,
    chunk: int = 100,
    batch: int = 20,
) -> Float[np.ndarray, " n"]:
    """Estimates log p(x) of each example by importance sampling from the posterior.

    Sample k of example i is keyed by (i, k): `chunk` and `batch` change the result by rounding
    only.

    Args:
        net: the autoencoder.
        params: its parameters.
        x: examples [n, ...].
        key: random key.
        samples: number of samples of z for each example.
        chunk: number of samples of an example that are decoded at a time.
        batch: number of examples that are decoded at a time.

    Returns:
        log p(x) in nats, float32 [n].

    Raises:
        ValueError: `chunk` does not divide `samples`.

    Source: Burda et al. 2016, eq. 8.
    """
    if samples % chunk:
        raise ValueError(f"{samples} samples do not divide into chunks of {chunk}")

    @jax.jit
    def of(params: Tree, x: Array, row: Array) -> Array:
        run: Callable[..., Tree] = functools.partial(net.apply, {"params": params}, x)
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
