"""A sparse autoencoder on MNIST: an overcomplete code of which few units speak, held down by an L1 penalty or by keeping the k largest.

Family: Autoencoder
Task: representation learning
Data: MNIST 3.0.1 (TFDS), 55,000/5,000/10,000; --offline: scikit-learn's digits, enlarged to 28x28
Published: none; 1,000 units of which 25 speak is what Makhzani & Frey 2014 draw

`active` is the share of units that are not 0, `dead` the share that never speak over the test images. --sparsity l1 --weight 0.05
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
from dlcore.kernels.latent import keep_largest
from dlcore.models.apply import apply
from dlcore.models.autoencoder import Autoencoder
from dlcore.models.mlp import MLP
from dlcore.samples import Images
from dlcore.train import optim
from dlcore.train.batched import over
from dlcore.train.experiment import Experiment
from dlcore.train.step import Objective, Out, mean


@dataclass(frozen=True)
class Config:
    code: PositiveInt = 1000
    sparsity: Literal["top_k", "l1"] = "top_k"
    k: PositiveInt = 25
    weight: NonNegativeFloat = 0.05
    lr: NonNegativeFloat = 2e-3
    batch: int = 250
    steps: int = 2000
    offline: bool = False


OFFLINE = Config(steps=1000, offline=True)
TINY = Config(code=64, k=8, batch=32, steps=6, offline=True)


def build(c: Config) -> Experiment:
    def between(code):
        return jax.nn.relu(keep_largest(code, c.k) if c.sparsity == "top_k" else code)

    net = Autoencoder(MLP((), classes=c.code), MLP((), classes=784), between)

    def pixels(batch):
        return batch["image"].reshape(-1, 784).astype(jnp.float32) / 255

    def loss(params, extra, batch, key, train):
        x = pixels(batch)
        (y, code), extra = apply(net, "net", params, extra, x - centre)
        squared = ((y - x) ** 2).sum(-1)
        # A code may shrink and its filter grow instead: what is penalised is what the unit adds to the image.
        size = jnp.sqrt((params["net"]["decoder"]["Dense_0"]["kernel"] ** 2).sum(-1) + 1e-12)
        price = c.weight * code @ size if c.sparsity == "l1" else 0.0
        told = {"squared_error": mean(squared, batch["mask"]), "active": mean(code > 0, batch["mask"])}
        return Out(mean(squared + price, batch["mask"]), told, extra)

    splits, _ = images.splits("mnist", 55000, c.offline)
    # Around their mean: else the units that happen to point there speak for every image, and the others never learn.
    centre = splits["train"].arrays["image"].reshape(-1, 784).mean(0, keepdims=True).astype(np.float32) / 255

    def both(state, x):
        found = over(lambda x: jnp.concatenate(apply(net, "net", state.params, state.extra, x - centre)[0], -1), np.asarray(x))
        return found[:, :784], found[:, 784:]

    def evaluate(state):
        train, test = (pixels(splits[split].arrays) for split in ("train", "test"))
        code = both(state, test)[1]
        number = max(1, round(float((code > 0).sum(1).mean())))  # as many numbers an image as the code uses
        linear = principal_components(train, min(number, 784)).project(test)
        error = float(((linear - test) ** 2).sum(1).mean())
        return {"test": {"dead": float(1 - (code > 0).any(0).mean()), "squared_error_of_as_many_components": error}}

    def sample(state, key):
        x = pixels(splits["test"].arrays)[:1000]
        y, code = both(state, x)
        often = np.argsort(-(code > 0).mean(0), kind="stable")[:: max(1, c.code // 100)][:100]
        filters = np.asarray(state.params["net"]["decoder"]["Dense_0"]["kernel"])[often].reshape(-1, 28, 28)
        shades = 0.5 + 0.5 * filters / np.abs(filters).max((1, 2), keepdims=True)
        rows = np.clip(np.concatenate([x[:20], y[:20]]), 0, 1).reshape(-1, 28, 28)
        title = "What units add to the image, from those that speak most to those that speak least (grey: nothing)"
        return [Images(title, shades, columns=20), Images("Test images and their reconstructions", rows, columns=20)]

    rate = optim.warmup_cosine(c.lr, c.steps, c.steps // 20)
    return Experiment(
        train=splits["train"],
        batch=c.batch,
        steps=c.steps,
        init={"net": lambda key, batch: net.init(key, pixels(batch))},
        objectives={"net": Objective(loss, optim.make("adam", rate, clip=10.0))},
        eval={"validation": splits["validation"], "test": splits["test"]},
        evaluate=evaluate,
        sample=sample,
        best="validation/loss",
    )


if __name__ == "__main__":
    dlcore.main(__file__)
