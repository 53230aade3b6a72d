"""A convolutional variational autoencoder on Fashion-MNIST, with a continuous Bernoulli likelihood of grey pixels.

Family: VAE
Task: density estimation, image generation
Data: Fashion-MNIST 3.0.1 (TFDS), 55,000/5,000/10,000; --offline: scikit-learn's digits, enlarged to 28x28
Published: none with this likelihood

Pixels / 255 have a continuous Bernoulli density (Loaiza-Ganem & Cunningham 2019): the ELBO is in nats of a density on [0, 1]^784, may be
above 0, and compares with no Bernoulli's. Images that are drawn are the density's means.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

import dlcore
from dlcore.bounds import NonNegativeFloat, PositiveInt
from dlcore.data.sets import images
from dlcore.kernels import random
from dlcore.kernels.latent import continuous_bernoulli_log_density, continuous_bernoulli_mean
from dlcore.models.apply import apply
from dlcore.models.vae import VAE, ConvLikelihood, ConvPosterior, drawn
from dlcore.samples import Images
from dlcore.train import optim
from dlcore.train.experiment import Experiment
from dlcore.train.step import Objective, Out, mean


@dataclass(frozen=True)
class Config:
    widths: tuple[PositiveInt, ...] = (32, 64)
    latent: PositiveInt = 32
    optimizer: optim.Kind = "adam"
    lr: NonNegativeFloat = 2e-3
    batch: int = 64
    steps: int = 3000
    offline: bool = False


OFFLINE = Config(steps=1000, offline=True)
TINY = Config(widths=(4, 8), latent=4, batch=32, steps=6, offline=True)


def build(c: Config) -> Experiment:
    encoder, decoder = ConvPosterior(c.widths, c.latent), ConvLikelihood(c.widths[::-1])
    net = VAE(encoder, decoder, c.latent, continuous_bernoulli_log_density)

    def pixels(batch):
        return batch["image"].astype(jnp.float32) / 255

    def loss(params, extra, batch, key, train):
        noise = random.normal(key, batch["row"], (1, c.latent))
        bounds, extra = apply(net, "net", params, extra, pixels(batch), noise)
        told = {name: mean(getattr(bounds, name), batch["mask"]) for name in ("elbo", "reconstruction", "kl")}
        return Out(mean(-bounds.elbo / 784, batch["mask"]), told, extra)  # nats a pixel, so that no gradient is in the hundreds

    splits, _ = images.splits("fashion_mnist", 55000, c.offline)

    def pictures(state, z):
        return np.asarray(continuous_bernoulli_mean(drawn(net, state.params["net"], z))).reshape(-1, 28, 28)

    def sample(state, key):
        ends, _ = net.apply({"params": state.params["net"]}, pixels(splits["test"].arrays)[:20], method=VAE.posterior)
        share = jnp.linspace(0, 1, 10)[None, :, None]
        between = (ends[:10, None] * (1 - share) + ends[10:, None] * share).reshape(-1, c.latent)
        again = np.concatenate([pixels(splits["test"].arrays)[:20, ..., 0], pictures(state, ends)])
        return [
            Images("Drawn from the prior", pictures(state, jax.random.normal(key, (100, c.latent))), columns=20),
            Images("From one test image (left) to another (right), straight through the latent space", pictures(state, between)),
            Images("Test images and their reconstructions", again, columns=20),
        ]

    rate = optim.warmup_cosine(c.lr, c.steps, c.steps // 20)
    return Experiment(
        train=splits["train"],
        batch=c.batch,
        steps=c.steps,
        init={"net": lambda key, batch: net.init(key, pixels(batch), jnp.zeros((c.batch, 1, c.latent)))},
        objectives={"net": Objective(loss, optim.make(c.optimizer, rate, clip=1.0))},
        eval={"validation": splits["validation"], "test": splits["test"]},
        sample=sample,
        best="validation/loss",
    )


if __name__ == "__main__":
    dlcore.main(__file__)
