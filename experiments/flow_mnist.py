"""Flow matching on MNIST: a U-Net learns the velocity of straight paths from noise to digits, told the class or not.

Family: flow matching
Task: image generation
Data: MNIST 3.0.1 (TFDS); --offline: scikit-learn's digits, enlarged to 28x28, and a third of the width
Published: none with this measure

The judge and its measures are those of gan_mnist. Images are drawn by `solver_steps` of the solver from the averaged network, with
classifier-free guidance (Ho & Salimans 2022) where `guidance` is not 1.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

import dlcore
from dlcore.bounds import NonNegativeFloat, PositiveInt, Probability, Range, Rate
from dlcore.data import tfds
from dlcore.data.sets import embedded
from dlcore.kernels import random
from dlcore.kernels.flow import Method, integrate, straight_path
from dlcore.models.apply import apply
from dlcore.models.unet import UNet
from dlcore.samples import Images
from dlcore.tasks import image_generation
from dlcore.train import optim
from dlcore.train.batched import over
from dlcore.train.experiment import Experiment
from dlcore.train.step import Objective, Out, mean

CLASSIFIER = Path(__file__).with_name("assets") / "mnist_classifier.npz"  # cnn_mnist, exported
CLASSES = 10  # and the label after the last: no class


@dataclass(frozen=True)
class Config:
    width: Annotated[int, Range(3)] = 32
    depth: tuple[PositiveInt, PositiveInt] = (1, 3)
    untold: Probability = 0.1  # share of training examples whose class is withheld; 1 for a network without classes
    guidance: NonNegativeFloat = 2.0
    solver: Method = "euler"
    solver_steps: PositiveInt = 25
    optimizer: optim.Kind = "adamw"
    lr: NonNegativeFloat = 3e-3
    ema: Rate = 0.998
    drawn: PositiveInt = 5000
    batch: int = 64
    steps: int = 3600
    offline: bool = False


OFFLINE = Config(steps=600, drawn=1000, offline=True)
TINY = Config(width=12, depth=(1, 1), solver_steps=2, drawn=64, batch=32, steps=6, offline=True)


def build(c: Config) -> Experiment:
    if c.untold in (0, 1) and c.guidance != 1:
        raise ValueError(f"guidance compares with and without a class: --untold {c.untold:g} knows one of them; add --guidance 1")
    net = UNet(c.width // 3 if c.offline else c.width, c.depth, CLASSES)
    train, test = (embedded.digits28(s) if c.offline else tfds.load("mnist", s) for s in ("train", "test"))

    def loss(params, extra, batch, key, train):
        data, row = batch["image"].astype(jnp.float32) / 127.5 - 1, batch["row"]
        keys = [jax.random.fold_in(key, i) for i in range(3)]
        # Times gather in the middle, where the velocity is hardest to tell (Esser et al. 2024, sec. 3.1).
        time = jax.nn.sigmoid(random.normal(keys[0], row, ()))
        at, velocity = straight_path(random.normal(keys[1], row, data.shape[1:]), data, time)
        label = jnp.where(random.uniform(keys[2], row) < c.untold, CLASSES, batch["label"])
        found, _ = apply(net, "net", params, extra, at, time, label)
        return Out(mean((found - velocity) ** 2, batch["mask"]), {}, extra)

    def images(state, key, count):
        noise, label = np.asarray(jax.random.normal(key, (count, 28, 28, 1))), np.arange(count, dtype=np.int32) % CLASSES
        label = label if c.untold < 1 else np.full_like(label, CLASSES)

        def told(x, t, y):
            return net.apply({"params": state.params["net"]}, x, jnp.full(len(x), t), y)

        def velocity(x, t, y):
            guided = c.guidance * told(x, t, y)
            return guided if c.guidance == 1 else guided + (1 - c.guidance) * told(x, t, jnp.full_like(y, CLASSES))

        drawn = over(lambda x, y: integrate(lambda x, t: velocity(x, t, y), x, c.solver_steps, c.solver), noise, label)
        return np.clip((drawn + 1) / 2, 0, 1), label

    def evaluate(state):
        see, (drawn, asked) = image_generation.judge(CLASSIFIER), images(state, jax.random.key(0), c.drawn)
        asked = asked if c.untold < 1 else None
        return {"test": image_generation.verdict(see, drawn, train.arrays["image"], test.arrays["image"], asked)}

    rate = optim.warmup_cosine(c.lr, c.steps, c.steps // 20)
    return Experiment(
        train=train,
        batch=c.batch,
        steps=c.steps,
        init={
            "net": lambda key, batch: net.init(
                key, batch["image"].astype(jnp.float32), jnp.zeros(len(batch["row"])), batch["label"]
            )
        },
        objectives={"net": Objective(loss, optim.make(c.optimizer, rate, decay=0.01, clip=1.0, ema=c.ema))},
        evaluate=evaluate,
        metrics=image_generation.METRICS,
        sample=lambda state, key: [Images("Drawn by the averaged network", images(state, key, 100)[0])],
    )


if __name__ == "__main__":
    dlcore.main(__file__)
