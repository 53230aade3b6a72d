"""A variational autoencoder on MNIST, with the importance-weighted bound as an option.

Family: VAE
Task: density estimation, image generation
Data: MNIST 3.0.1 (TFDS), 55,000/5,000/10,000; --offline: scikit-learn's digits at 28x28
Published: test NLL 87.78 nats, IWAE of 50: 84.59 (xqding/Importance_Weighted_Autoencoders)

The networks are those of Burda et al. 2016. Pixels are binarised anew in every training step, for
validation and test once. The NLL is an upper bound by 5,000 importance samples per image. IWAE:
--objective iwae --samples 5.
"""

from dataclasses import dataclass, replace
from typing import Literal

import jax

import dlcore
from dlcore.bounds import PositiveInt
from dlcore.data.sets import images
from dlcore.kernels import activations
from dlcore.kernels.latent import bernoulli_log_density
from dlcore.metrics.known import Metric
from dlcore.models.mlp import MLP
from dlcore.models.vae import VAE
from dlcore.options import DataSource
from dlcore.tasks import latent_variables
from dlcore.train import Experiment, Model, Objective, Out, Published, Recipe, Splits, mean


@dataclass(frozen=True)
class Config:
    widths: tuple[PositiveInt, ...] = (200, 200)
    latent: PositiveInt = 50
    activation: activations.Name = "gelu"
    objective: Literal["vae", "iwae"] = "vae"
    samples: PositiveInt = 1
    recipe: Recipe = Recipe("muon", lr=3e-2, warmup=0.02, clip_norm=100.0)
    nll_samples: PositiveInt = 5000
    nll_images: PositiveInt = 10000
    batch: int = 1000
    steps: int = 5000


PRESETS = {
    "offline": Config(steps=600),
    "tiny": Config((16,), 4, "gelu", "iwae", 3, nll_samples=10, nll_images=20, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    splits = images.load("mnist", source, training=55_000)
    validation, test = (images.binarised(each, seed=0) for each in (splits.validation, splits.test))
    return replace(splits, validation=validation, test=test)


def build(c: Config, splits: Splits) -> Experiment:
    activation = activations.named(c.activation)
    encoder = MLP(c.widths, classes=2 * c.latent, activation=activation)
    decoder = MLP(c.widths[::-1], classes=784, activation=activation)
    net = VAE(encoder, decoder, c.latent, bernoulli_log_density)
    inputs = latent_variables.inputs(c.latent, c.samples, binary=True)
    model = Model("net", net, inputs)

    def loss(params, extra, batch, key, train):
        bounds, extra = model(params, extra, batch, key, train)
        bound = bounds.elbo if c.objective == "vae" else bounds.importance
        metrics = {name: mean(each, batch["mask"]) for name, each in bounds._asdict().items()}
        return Out(mean(-bound, batch["mask"]), metrics, extra)

    nll = latent_variables.nll_evaluator(model, splits.test, c.nll_samples, c.nll_images)
    source = "xqding/Importance_Weighted_Autoencoders README, VAE of one sample"
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(loss, c.recipe(c.steps))},
        evaluators=[nll],
        samples=[latent_variables.prior_samples(model, jax.nn.sigmoid)],
        predictor=latent_variables.predictor(model, jax.nn.sigmoid),
        best="validation/loss",
        metrics={"importance": Metric("higher", "nats")},
        published=Published("nll_5000", 87.78, source, "lower"),
    )


if __name__ == "__main__":
    dlcore.main(__file__)
