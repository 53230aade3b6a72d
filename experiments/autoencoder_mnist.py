"""A deep autoencoder on MNIST: 784-1000-500-250-30 and back, against principal components of the same code size.

Family: Autoencoder
Task: dimensionality reduction, reconstruction
Data: MNIST 3.0.1 (TFDS), 55,000/5,000/10,000; --offline: scikit-learn's digits, enlarged to 28x28
Published: squared error per test image 3.00, and 13.87 by principal components (Hinton & Salakhutdinov 2006, fig. 2, as quoted by others)

The error is the sum over an image's 784 pixels in [0, 1]. Components are of the training images alone.
"""

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

import dlcore
from dlcore.analysis.baselines import principal_components
from dlcore.bounds import NonNegativeFloat, PositiveInt
from dlcore.data.sets import images
from dlcore.kernels import activations
from dlcore.kernels.latent import bernoulli_log_density
from dlcore.models.apply import apply
from dlcore.models.autoencoder import Autoencoder
from dlcore.models.mlp import MLP
from dlcore.samples import Images, Plot, Series
from dlcore.train import optim
from dlcore.train.batched import over
from dlcore.train.experiment import Experiment, Published
from dlcore.train.step import Objective, Out, mean


@dataclass(frozen=True)
class Config:
    widths: tuple[PositiveInt, ...] = (1000, 500, 250)
    code: PositiveInt = 30
    activation: activations.Name = "gelu"
    norm: Literal["none", "layer"] = "layer"
    loss: Literal["cross_entropy", "squared_error"] = "cross_entropy"
    optimizer: optim.Kind = "adam"
    lr: NonNegativeFloat = 4e-3
    decay: NonNegativeFloat = 0.0
    batch: int = 250
    steps: int = 5000
    offline: bool = False


OFFLINE = Config(steps=500, offline=True)
TINY = Config(widths=(16, 8), code=4, batch=32, steps=6, offline=True)


def build(c: Config) -> Experiment:
    activation = activations.named(c.activation)
    halves = (MLP(w, n, activation=activation, norm=c.norm) for w, n in ((c.widths, c.code), (c.widths[::-1], 784)))
    net = Autoencoder(*halves)

    def pixels(batch):
        return batch["image"].reshape(-1, 784).astype(jnp.float32) / 255

    def loss(params, extra, batch, key, train):
        x = pixels(batch)
        (logits, _), extra = apply(net, "net", params, extra, x)
        squared = ((jax.nn.sigmoid(logits) - x) ** 2).sum(-1)
        each = squared if c.loss == "squared_error" else -bernoulli_log_density(x, logits)
        return Out(mean(each, batch["mask"]), {"squared_error": mean(squared, batch["mask"])}, extra)

    splits, _ = images.splits("mnist", 55000, c.offline)

    def evaluate(state):
        train, test = (pixels(splits[split].arrays) for split in ("train", "test"))
        linear = principal_components(train, c.code).project(test)
        return {"test": {"squared_error_of_components": float(((linear - test) ** 2).sum(1).mean())}}

    def sample(state, key):
        some = {name: array[:2000] for name, array in splits["test"].arrays.items()}
        x, label = np.asarray(pixels(some)), some["label"]
        both = over(lambda x: jnp.concatenate(apply(net, "net", state.params, state.extra, x)[0], -1), x)
        drawn, code = jax.nn.sigmoid(both[:, :784]), both[:, 784:]
        flat = principal_components(code, 2).code(code)
        linear = principal_components(pixels(splits["train"].arrays), c.code).project(x[:20])
        rows = np.stack([x[:20], drawn[:20], np.clip(linear, 0, 1)]).reshape(-1, 28, 28)
        clouds = tuple(Series(str(d), flat[label == d, 0], flat[label == d, 1], points=True) for d in range(10))
        return [
            Images(f"Test images, reconstructed from {c.code} numbers, and by principal components", rows, columns=20),
            Plot("The codes of 2,000 test images", "first component of the code", "second component", clouds),
        ]

    rate = optim.warmup_cosine(c.lr, c.steps, c.steps // 20)
    return Experiment(
        train=splits["train"],
        batch=c.batch,
        steps=c.steps,
        init={"net": lambda key, batch: net.init(key, pixels(batch))},
        objectives={"net": Objective(loss, optim.make(c.optimizer, rate, decay=c.decay, clip=1.0))},
        eval={"validation": splits["validation"], "test": splits["test"]},
        evaluate=evaluate,
        sample=sample,
        best="validation/squared_error",
        published=Published("squared_error", 3.0, "Hinton & Salakhutdinov 2006, fig. 2, as quoted by others", "lower"),
    )


if __name__ == "__main__":
    dlcore.main(__file__)
