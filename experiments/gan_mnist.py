"""A class-conditional generative adversarial network on MNIST, in one of three games, with or without spectral normalisation.

Family: GAN
Task: image generation
Data: MNIST 3.0.1 (TFDS); --offline: scikit-learn's digits, enlarged to 28x28, and a third of the width
Published: none with this measure

Our classifier judges 5,000 drawn images. Also: `--loss hinge --spectral`, `--loss wgan_gp --critic 2 --lr 1e-3 --betas 0.5 0.9`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np

import dlcore
from dlcore.bounds import NonNegativeFloat, PositiveInt, Range, Rate
from dlcore.data import tfds
from dlcore.data.sets import embedded
from dlcore.kernels import random
from dlcore.kernels.adversarial import critic_loss, generator_loss, gradient_penalty
from dlcore.models.apply import apply
from dlcore.models.gan import Discriminator, Generator, normalised
from dlcore.samples import Images
from dlcore.tasks.image_generation import METRICS, judge, verdict
from dlcore.train import optim
from dlcore.train.batched import over
from dlcore.train.experiment import Experiment
from dlcore.train.step import Objective, Out, mean

CLASSIFIER = Path(__file__).with_name("assets") / "mnist_classifier.npz"  # cnn_mnist, exported


@dataclass(frozen=True)
class Config:
    loss: Literal["nonsaturating", "hinge", "wgan_gp"] = "nonsaturating"
    spectral: bool = False
    conditional: bool = True
    critic: PositiveInt = 1  # turns of the critic for one of the generator
    penalty: NonNegativeFloat = 10.0
    latent: PositiveInt = 64
    width: Annotated[int, Range(12)] = 48
    lr: NonNegativeFloat = 5e-4
    betas: tuple[Rate, Rate] = (0.5, 0.99)
    ema: Rate = 0.995
    spread: NonNegativeFloat = 0.8  # of the noise: below 1 fewer oddities and less variety (Brock et al. 2019, sec. 3.1)
    drawn: PositiveInt = 5000
    batch: int = 48
    steps: int = 5000
    offline: bool = False


OFFLINE = Config(steps=1500, offline=True)
TINY = Config(latent=4, width=24, drawn=64, batch=32, steps=6, offline=True)


def build(c: Config) -> Experiment:
    classes, width = 10 if c.conditional else 0, c.width // 3 if c.offline else c.width
    gen, disc = Generator(width, classes=classes), Discriminator(width, classes)
    game = "wasserstein" if c.loss == "wgan_gp" else c.loss
    train, test = (embedded.digits28(s) if c.offline else tfds.load("mnist", s) for s in ("train", "test"))

    def real(batch):
        return batch["image"].astype(jnp.float32) / 127.5 - 1

    def forged(params, extra, batch, key):
        return apply(gen, "gen", params, extra, random.normal(key, batch["row"], (c.latent,)), batch["label"])[0]

    def critic(params, extra, batch):
        used = {"disc": normalised(params["disc"]) if c.spectral else params["disc"]}
        return lambda images: apply(disc, "disc", used, extra, images, batch["label"])[0]

    def discriminate(params, extra, batch, key, train):
        own, other, score = real(batch), forged(params, extra, batch, key), critic(params, extra, batch)
        true, false = score(own), score(other)
        loss, told = critic_loss(true, false, game), {"gap": mean(true - false, batch["mask"])}
        if c.loss == "wgan_gp":
            between = own + random.uniform(jax.random.fold_in(key, 1), batch["row"], (1, 1, 1)) * (other - own)
            penalty = gradient_penalty(score, between)
            loss, told = loss + c.penalty * penalty, told | {"penalty": mean(penalty, batch["mask"])}
        return Out(mean(loss, batch["mask"]), told, extra)

    def forge(params, extra, batch, key, train):
        loss = generator_loss(critic(params, extra, batch)(forged(params, extra, batch, key)), game)
        return Out(mean(loss, batch["mask"]), {}, extra)

    def images(state, key, count):
        noise, label = c.spread * np.asarray(jax.random.normal(key, (count, c.latent))), np.arange(count, dtype=np.int32) % 10
        return (over(lambda z, y: gen.apply({"params": state.params["gen"]}, z, y), noise, label) + 1) / 2, label

    def evaluate(state):
        (drawn, asked), held = images(state, jax.random.key(0), c.drawn), (train.arrays["image"], test.arrays["image"])
        return {"test": verdict(judge(CLASSIFIER), drawn, *held, asked if c.conditional else None)}

    def adam(turns, ema=0.0):
        return optim.make("adam", optim.warmup_linear(c.lr, turns), momentum=c.betas[0], b2=c.betas[1], ema=ema)

    return Experiment(
        train=train,
        batch=c.batch,
        steps=c.steps,
        init={
            "disc": lambda key, batch: disc.init(key, real(batch), batch["label"]),
            "gen": lambda key, batch: gen.init(key, jnp.zeros((1, c.latent)), batch["label"][:1]),
        },
        objectives={
            "disc": Objective(discriminate, adam(c.steps)),
            "gen": Objective(forge, adam(c.steps // c.critic + 1, c.ema), every=c.critic),
        },
        evaluate=evaluate,
        metrics=METRICS,
        sample=lambda state, key: [Images("Drawn by the averaged generator", images(state, key, 100)[0])],
    )


if __name__ == "__main__":
    dlcore.main(__file__)
