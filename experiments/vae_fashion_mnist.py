"""A convolutional variational autoencoder on Fashion-MNIST, of continuous Bernoulli pixels.

Family: VAE
Task: density estimation, image generation
Data: Fashion-MNIST 3.0.1 (TFDS), 55,000/5,000/10,000; --offline: scikit-learn's digits at 28x28
Published: none with this likelihood
Headline: test/elbo

Pixels / 255 have a continuous Bernoulli density (Loaiza-Ganem & Cunningham 2019): the ELBO, in nats
of a density on [0, 1]^784, may be positive. Generated images show the means of the density.
"""

from dataclasses import dataclass

import dlcore
from dlcore.bounds import PositiveInt
from dlcore.data.sets import images
from dlcore.kernels.latent import continuous_bernoulli_log_density, continuous_bernoulli_mean
from dlcore.models.vae import VAE, ConvLikelihood, ConvPosterior
from dlcore.tasks import latent_variables
from dlcore.train import DataSource, Experiment, Model, Objective, Out, Recipe, Splits, mean


@dataclass(frozen=True)
class Config:
    widths: tuple[PositiveInt, ...] = (32, 64)
    latent: PositiveInt = 32
    recipe: Recipe = Recipe("adam", lr=2e-3, clip_norm=1.0)
    batch: int = 64
    steps: int = 3000


PRESETS = {
    "offline": Config(steps=1000),
    "tiny": Config(widths=(4, 8), latent=4, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    return images.load("fashion_mnist", source, training=55_000)


def build(c: Config, splits: Splits) -> Experiment:
    encoder, decoder = ConvPosterior(c.widths, c.latent), ConvLikelihood(c.widths[::-1])
    net = VAE(encoder, decoder, c.latent, continuous_bernoulli_log_density)
    model = Model("net", net, inputs=latent_variables.inputs(c.latent))

    def loss(params, extra, batch, key, train):
        bounds, extra = model(params, extra, batch, key, train)
        names = ("elbo", "reconstruction", "kl")
        metrics = {name: mean(getattr(bounds, name), batch["mask"]) for name in names}
        # Nats per pixel, so that no gradient is in the hundreds.
        return Out(mean(-bounds.elbo / 784, batch["mask"]), metrics, extra)

    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(loss, c.recipe(c.steps))},
        samples=[latent_variables.samples(model, splits.test, continuous_bernoulli_mean)],
        predictor=latent_variables.predictor(model, continuous_bernoulli_mean),
        best="validation/loss",
    )


if __name__ == "__main__":
    dlcore.main(__file__)
