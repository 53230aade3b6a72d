"""Models with latent variables: their likelihood by importance sampling, and generated images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.data.source import Arrays
from dlcore.kernels import random
from dlcore.kernels.corrupt import binarise
from dlcore.metrics.known import Metric
from dlcore.models.vae import VAE, drawn, log_likelihood
from dlcore.samples import Images, Sample
from dlcore.tasks import noise
from dlcore.tasks.autoencoding import flat, grey
from dlcore.tasks.noise import NoiseOptions
from dlcore.train.evaluators import Evaluator, OfState
from dlcore.train.model import Inputs, Model
from dlcore.train.predictor import Answer
from dlcore.train.step import Batch, State

# parameters of the likelihood -> mean of each pixel, in [0, 1]
Mean = Callable[[Array], Array]


def inputs(size: int, samples: int = 1, binary: bool = False) -> Inputs:
    """Returns the `inputs` of a `Model` of a VAE: pixels, and the noise of its latent variables.

    Args:
        size: number of latent variables.
        samples: number of draws of the latent variables for each image.
        binary: whether pixels are flat, and drawn anew at each call as 0 or 1 with their grey value
            as the probability of 1; False: images with their grey values.

    Returns:
        (batch, key, train) -> pixels, float32 [batch, n] or [batch, height, width, channels] in
        [0, 1], and standard normal noise, float32 [batch, samples, size]. Without a key, at
        initialisation, nothing is drawn, and the noise is zero and of one draw.
    """
    pixels = flat if binary else grey

    def pixels_and_noise(batch: Batch, key: Array | None, train: bool) -> tuple[Array, Array]:
        x = pixels(batch)
        if key is None:
            return x, jnp.zeros((len(x), 1, size))
        if binary:
            draw, key = jax.random.split(key)
            x = binarise(draw, batch["row"], x)  # leaves pixels of 0 and 1 unchanged
        return x, random.normal(key, batch["row"], (samples, size))

    return pixels_and_noise


def _vae(model: Model) -> VAE:
    assert isinstance(model.net, VAE)
    return model.net


def nll_evaluator(model: Model, test: Arrays, samples: int, count: int) -> Evaluator:
    """Evaluates the negative log-likelihood of flat pixels by importance sampling, at the end.

    The estimate -log(1/K sum over k of p(x, z_k) / q(z_k | x)), K `samples`, is an upper bound in
    expectation (Burda et al. 2016, eq. 8). Metric: `nll_SAMPLES`, in nats, the mean over images.

    Args:
        model: a `VAE` of flat pixels.
        test: `image`, of which the first `count` are used, as grey values in [0, 1]: they are not
            drawn as 0 or 1 here.
        samples: number of importance samples per image; above 100 a multiple of 100.
        count: number of images.
    """
    name = f"nll_{samples}"

    def score(state: State) -> dict[str, float]:
        x, chunk = flat(test.arrays)[:count], min(100, samples)
        params, key = state.params[model.name], jax.random.key(0)
        return {name: float(-log_likelihood(_vae(model), params, x, key, samples, chunk).mean())}

    return OfState("test", score, {name: Metric("lower", "nats")})


def _pictures(model: Model, state: State, z: Array | np.ndarray, mean: Mean) -> np.ndarray:
    """The means of the likelihoods for latent variables z [N, latent], as images [N, 28, 28]."""
    decoded = drawn(_vae(model), state.params[model.name], jnp.asarray(z))
    return np.asarray(mean(decoded)).reshape(-1, 28, 28)


def prior_samples(
    model: Model, mean: Mean, count: int = 100
) -> Callable[[State, Array], list[Sample]]:
    """Shows the means of the pixels for latent variables that are drawn from the prior.

    Args:
        model: a `VAE` of images of 28x28.
        mean: parameters of the likelihood -> mean of each pixel.
        count: number of images.

    Returns:
        (state, key) -> samples.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        z = jax.random.normal(key, (count, _vae(model).latent))
        title = "Drawn from the prior: the probability of each pixel"
        return [Images(title, _pictures(model, state, z, mean), columns=20)]

    return draw


def samples(model: Model, test: Arrays, mean: Mean) -> Callable[[State, Array], list[Sample]]:
    """Shows images from the prior, interpolations between test images, and reconstructions.

    Args:
        model: a `VAE` of images [batch, 28, 28, 1].
        test: `image`, of which the first 20 are shown.
        mean: parameters of the likelihood -> mean of each pixel.

    Returns:
        (state, key) -> samples.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        x, net = jnp.asarray(grey(test.arrays)[:20]), _vae(model)
        ends, _ = net.apply({"params": state.params[model.name]}, x, method=VAE.posterior)
        weight = jnp.linspace(0, 1, 10)[None, :, None]
        half = len(ends) // 2
        between = ends[:half, None] * (1 - weight) + ends[half : 2 * half, None] * weight
        prior = jax.random.normal(key, (100, net.latent))
        rows = np.concatenate([x[..., 0], _pictures(model, state, ends, mean)])
        interpolated = _pictures(model, state, between.reshape(-1, net.latent), mean)
        return [
            Images("Drawn from the prior", _pictures(model, state, prior, mean), columns=20),
            Images("From one test image (left) to another (right), in latent space", interpolated),
            Images("Test images and their reconstructions", rows, columns=20),
        ]

    return draw


@dataclasses.dataclass(frozen=True)
class PriorGenerator:
    """Generates images: the means of the pixels for latent variables drawn from the prior.

    Attributes:
        model: a `VAE` of images of 28x28.
        mean: parameters of the likelihood -> mean of each pixel.
        options: flags of `dlcore predict`.
    """

    model: Model
    mean: Mean
    options: NoiseOptions = dataclasses.field(default_factory=NoiseOptions)

    def generated(self, state: State, count: int) -> list[Answer]:
        """Generates images.

        Args:
            state: trained parameters.
            count: number of images.

        Returns:
            ({"seed"}, the image) of each; the seed is that of the options, the same for all.
        """
        o, latent = self.options, _vae(self.model).latent
        z = noise.draw(o)(jax.random.key(o.seed), (count, latent))
        images = _pictures(self.model, state, z, self.mean)
        return [({"seed": o.seed}, Images(f"Drawn, seed {o.seed}", each[None])) for each in images]

    def line(self, answer: Mapping[str, object]) -> str:
        """Formats an answer: the seed."""
        return f"seed {answer['seed']}"


def predictor(model: Model, mean: Mean) -> PriorGenerator:
    """Returns the generator of images from the prior of a VAE, for `dlcore predict --count`.

    Args:
        model, mean: see `PriorGenerator`.
    """
    return PriorGenerator(model, mean)
