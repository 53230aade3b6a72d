"""A sparse autoencoder on MNIST: an overcomplete code with few active units, by top-k or L1.

Family: Autoencoder
Task: representation learning
Data: MNIST 3.0.1 (TFDS), 55,000/5,000/10,000; --offline: scikit-learn's digits at 28x28
Published: none; 1,000 units of which 25 are active is what Makhzani & Frey 2014 show
Headline: test/squared_error

`active` is the fraction of units that are not 0 for an image, `dead` that of units that are 0 for
all test images. With a penalty: --sparsity l1 --weight 0.05.
"""

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

import dlcore
from dlcore.bounds import NonNegativeFloat, PositiveInt
from dlcore.data.sets import images
from dlcore.kernels.latent import keep_largest
from dlcore.models.autoencoder import Autoencoder
from dlcore.models.mlp import MLP
from dlcore.tasks import autoencoding, reconstruction
from dlcore.train import DataSource, Experiment, Model, Objective, Out, Recipe, Splits, mean


@dataclass(frozen=True)
class Config:
    code: PositiveInt = 1000
    sparsity: Literal["top_k", "l1"] = "top_k"
    k: PositiveInt = 25
    weight: NonNegativeFloat = 0.05
    recipe: Recipe = Recipe("adam", lr=2e-3, clip_norm=10.0)
    batch: int = 250
    steps: int = 2000


PRESETS = {"offline": Config(steps=1000), "tiny": Config(code=64, k=8, batch=32, steps=6)}


def data(c: Config, source: DataSource) -> Splits:
    splits = images.load("mnist", source, training=55_000)
    pixels = splits.train.arrays["image"].reshape(-1, 784)
    return splits.with_facts(mean=pixels.mean(0, keepdims=True).astype(np.float32).tolist())


def build(c: Config, splits: Splits) -> Experiment:
    # Without centring, few units along the mean are always active, and the others never learn.
    centre = np.array(splits.facts.mean, np.float32) / 255

    def sparse(code):
        return jax.nn.relu(keep_largest(code, c.k) if c.sparsity == "top_k" else code)

    net = Autoencoder(MLP((), classes=c.code), MLP((), classes=784), sparse)
    model = Model("net", net, lambda batch, key, train: autoencoding.flat(batch) - centre)

    def loss(params, extra, batch, key, train):
        x = autoencoding.flat(batch)
        (y, code), extra = model(params, extra, batch, key, train)
        squared = ((y - x) ** 2).sum(-1)
        # A code may shrink while its filter grows: the penalty is on their product.
        size = jnp.sqrt((params["net"]["decoder"]["Dense_0"]["kernel"] ** 2).sum(-1) + 1e-12)
        penalty = c.weight * code @ size if c.sparsity == "l1" else 0.0
        found = {"squared_error": squared, "active": code > 0}
        metrics = {name: mean(each, batch["mask"]) for name, each in found.items()}
        return Out(mean(squared + penalty, batch["mask"]), metrics, extra)

    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(loss, c.recipe(c.steps))},
        evaluators=[autoencoding.sparse_evaluator(model, splits.train, splits.test, centre)],
        samples=[autoencoding.sparse_samples(model, splits.test, centre)],
        predictor=reconstruction.predictor(model, splits.facts),
        best="validation/loss",
    )


if __name__ == "__main__":
    dlcore.main(__file__)
