"""A variational autoencoder on MNIST, with the importance-weighted bound as an option: the networks of Burda et al. 2016.

Family: VAE
Task: density estimation, image generation
Data: MNIST 3.0.1 (TFDS), 55,000/5,000/10,000, binarised at random; --offline: scikit-learn's digits, enlarged to 28x28
Published: test NLL 87.78 nats as a VAE, 84.59 as an IWAE of 50 samples (xqding/Importance_Weighted_Autoencoders README)

Training pixels are drawn anew in every step. Validation and test pixels were drawn once, from a fixed seed, for the bounds and for the
NLL, which is an upper bound by 5,000 importance samples an image. IWAE: --objective iwae --samples 5
"""

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

import dlcore
from dlcore.bounds import NonNegativeFloat, PositiveInt
from dlcore.data.sets import images
from dlcore.data.sets.images import binarised
from dlcore.kernels import activations, random
from dlcore.kernels.corrupt import binarise
from dlcore.kernels.latent import bernoulli_log_density
from dlcore.metrics.known import Metric
from dlcore.models.apply import apply
from dlcore.models.mlp import MLP
from dlcore.models.vae import VAE, drawn, log_likelihood
from dlcore.samples import Images
from dlcore.train import optim
from dlcore.train.experiment import Experiment, Published
from dlcore.train.step import Objective, Out, mean


@dataclass(frozen=True)
class Config:
    widths: tuple[PositiveInt, ...] = (200, 200)
    latent: PositiveInt = 50
    activation: activations.Name = "gelu"
    objective: Literal["vae", "iwae"] = "vae"
    samples: PositiveInt = 1
    optimizer: optim.Kind = "muon"
    lr: NonNegativeFloat = 3e-2
    nll_samples: PositiveInt = 5000
    nll_images: PositiveInt = 10000
    batch: int = 1000
    steps: int = 5000
    offline: bool = False


OFFLINE = Config(steps=600, offline=True)
TINY = Config(widths=(16,), latent=4, objective="iwae", samples=3, nll_samples=10, nll_images=20, batch=32, steps=6, offline=True)


def build(c: Config) -> Experiment:
    activation = activations.named(c.activation)
    decoder = MLP(c.widths[::-1], classes=784, activation=activation)
    net = VAE(MLP(c.widths, classes=2 * c.latent, activation=activation), decoder, c.latent, bernoulli_log_density)

    def pixels(batch):
        return batch["image"].reshape(-1, 784).astype(jnp.float32) / 255

    def loss(params, extra, batch, key, train):
        draw, latent = jax.random.split(key)
        x = binarise(draw, batch["row"], pixels(batch))  # those of evaluation are 0 or 1 already, and stay so
        noise = random.normal(latent, batch["row"], (c.samples, c.latent))
        bounds, extra = apply(net, "net", params, extra, x, noise)
        told = {name: mean(each, batch["mask"]) for name, each in bounds._asdict().items()}
        return Out(mean(-(bounds.elbo if c.objective == "vae" else bounds.importance), batch["mask"]), told, extra)

    splits, _ = images.splits("mnist", 55000, c.offline)
    held = {split: binarised(splits[split], seed=0) for split in ("validation", "test")}

    def evaluate(state):
        test = pixels(held["test"].arrays)[: c.nll_images]
        found = log_likelihood(net, state.params["net"], test, jax.random.key(0), c.nll_samples, chunk=min(100, c.nll_samples))
        return {"test": {f"nll_{c.nll_samples}": float(-found.mean())}}

    def sample(state, key):
        new = jax.nn.sigmoid(drawn(net, state.params["net"], jax.random.normal(key, (100, c.latent))))
        return [Images("Drawn from the prior: the probability of each pixel", np.asarray(new).reshape(-1, 28, 28), columns=20)]

    rate = optim.warmup_cosine(c.lr, c.steps, c.steps // 50)
    return Experiment(
        train=splits["train"],
        batch=c.batch,
        steps=c.steps,
        init={"net": lambda key, batch: net.init(key, pixels(batch), jnp.zeros((c.batch, 1, c.latent)))},
        objectives={"net": Objective(loss, optim.make(c.optimizer, rate, clip=100.0))},
        eval=held,
        evaluate=evaluate,
        sample=sample,
        best="validation/loss",
        metrics={f"nll_{c.nll_samples}": Metric("lower", "nats"), "importance": Metric("higher", "nats")},
        published=Published("nll_5000", 87.78, "xqding/Importance_Weighted_Autoencoders README, VAE of one sample", "lower"),
    )


if __name__ == "__main__":
    dlcore.main(__file__)
