"""A generative adversarial network on Fashion-MNIST: two objectives, an average of the generator.

Family: GAN
Task: image generation
Data: Fashion-MNIST 3.0.1 (TFDS); --offline: scikit-learn's digits, enlarged to 28x28
Published: none with this measure

The Fréchet distance is on the features of our own classifier of clothes, so that it must not be set beside one on Inception features;
the distance of train from test by the same measure is its floor.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

import dlcore
from dlcore.bounds import NonNegativeFloat, PositiveInt, Range, Rate
from dlcore.data import tfds
from dlcore.data.sets import embedded
from dlcore.kernels import random
from dlcore.metrics.generation import frechet
from dlcore.models.apply import apply
from dlcore.models.gan import Discriminator, Generator
from dlcore.samples import Images
from dlcore.tasks import image_generation
from dlcore.train import optim
from dlcore.train.batched import over
from dlcore.train.experiment import Experiment
from dlcore.train.step import Objective, Out, mean

CLASSIFIER = Path(__file__).with_name("assets") / "fashion_mnist_classifier.npz"  # cnn_fashion_mnist, exported


@dataclass(frozen=True)
class Config:
    latent: PositiveInt = 64
    width: Annotated[int, Range(4)] = 64
    lr: NonNegativeFloat = 4e-4
    ema: Rate = 0.999
    drawn: PositiveInt = 10000
    batch: int = 64
    steps: int = 7000
    offline: bool = False


OFFLINE = Config(steps=500, offline=True)
TINY = Config(latent=4, width=8, drawn=64, batch=32, steps=6, offline=True)


def build(c: Config) -> Experiment:
    gen, disc = Generator(c.width), Discriminator(c.width)
    train, test = (embedded.digits28(s) if c.offline else tfds.load("fashion_mnist", s) for s in ("train", "test"))

    def real(batch):
        return batch["image"].astype(jnp.float32) / 127.5 - 1

    def forged(params, extra, batch, key, train):
        return apply(gen, "gen", params, extra, random.normal(key, batch["row"], (c.latent,)))[0]

    def judge(params, extra, batch, key, train):
        true, _ = apply(disc, "disc", params, extra, real(batch))
        false, _ = apply(disc, "disc", params, extra, forged(params, extra, batch, key, train))
        loss = jax.nn.softplus(-true) + jax.nn.softplus(false)
        told = {"believed": mean(true > 0, batch["mask"]), "caught": mean(false < 0, batch["mask"])}
        return Out(mean(loss, batch["mask"]), told, extra)

    def forge(params, extra, batch, key, train):
        false, _ = apply(disc, "disc", params, extra, forged(params, extra, batch, key, train))
        return Out(mean(jax.nn.softplus(-false), batch["mask"]), {}, extra)

    def images(state, key, count):
        noise = np.asarray(jax.random.normal(key, (count, c.latent)))
        return over(lambda z: gen.apply({"params": state.params["gen"]}, z), noise)

    def evaluate(state):
        see = image_generation.judge(CLASSIFIER)
        own = see((images(state, jax.random.key(0), c.drawn) + 1) / 2).features
        held, floor = (
            see((real({"image": jnp.asarray(s.arrays["image"][: len(test)])}) + 1) / 2).features for s in (test, train)
        )
        return {"test": {"frechet_on_classifier_features": frechet(own, held), "floor_train_against_test": frechet(floor, held)}}

    adam = optim.make("adam", c.lr, momentum=0.5)
    return Experiment(
        train=train,
        batch=c.batch,
        steps=c.steps,
        init={
            "disc": lambda key, batch: disc.init(key, real(batch)),
            "gen": lambda key, batch: gen.init(key, jnp.zeros((1, c.latent))),
        },
        objectives={
            "disc": Objective(judge, adam),
            "gen": Objective(forge, optim.make("adam", c.lr, momentum=0.5, ema=c.ema)),
        },
        evaluate=evaluate,
        metrics=image_generation.METRICS,
        sample=lambda state, key: [Images("Drawn by the averaged generator", (images(state, key, 100) + 1) / 2)],
    )


if __name__ == "__main__":
    dlcore.main(__file__)
