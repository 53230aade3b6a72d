"""A deep autoencoder on MNIST, 784-1000-500-250-30 and back, beside principal components.

Family: Autoencoder
Task: dimensionality reduction, reconstruction
Data: MNIST 3.0.1 (TFDS), 55,000/5,000/10,000; --offline: scikit-learn's digits at 28x28
Published: squared error 3.00, of components 13.87 (Hinton & Salakhutdinov 2006, fig. 2)

The squared error is summed over the 784 pixels in [0, 1]; the baseline is 30 principal components.
"""

from dataclasses import dataclass
from typing import Literal

import jax

import dlcore
from dlcore.bounds import PositiveInt
from dlcore.data.sets import images
from dlcore.kernels import activations
from dlcore.kernels.latent import bernoulli_log_density
from dlcore.models.autoencoder import Autoencoder
from dlcore.models.mlp import MLP
from dlcore.options import DataSource
from dlcore.tasks import autoencoding, reconstruction
from dlcore.train import Experiment, Model, Objective, Out, Published, Recipe, Splits, mean


@dataclass(frozen=True)
class Config:
    widths: tuple[PositiveInt, ...] = (1000, 500, 250)
    code: PositiveInt = 30
    activation: activations.Name = "gelu"
    norm: Literal["none", "layer"] = "layer"
    loss: Literal["cross_entropy", "squared_error"] = "cross_entropy"
    recipe: Recipe = Recipe("adam", lr=4e-3, clip_norm=1.0)
    batch: int = 250
    steps: int = 5000


PRESETS = {
    "offline": Config(steps=500),
    "tiny": Config(widths=(16, 8), code=4, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    return images.load("mnist", source, training=55_000)


def build(c: Config, splits: Splits) -> Experiment:
    activation = activations.named(c.activation)
    encoder = MLP(c.widths, c.code, activation=activation, norm=c.norm)
    decoder = MLP(c.widths[::-1], 784, activation=activation, norm=c.norm)
    model = Model("net", Autoencoder(encoder, decoder), autoencoding.inputs)

    def loss(params, extra, batch, key, train):
        x = autoencoding.flat(batch)
        (logits, _), extra = model(params, extra, batch, key, train)
        squared = ((jax.nn.sigmoid(logits) - x) ** 2).sum(-1)
        each = squared if c.loss == "squared_error" else -bernoulli_log_density(x, logits)
        metrics = {"squared_error": mean(squared, batch["mask"])}
        return Out(mean(each, batch["mask"]), metrics, extra)

    classes = splits.facts.classes
    codes = autoencoding.code_samples(model, splits.train, splits.test, c.code, classes)
    source = "Hinton & Salakhutdinov 2006, fig. 2"
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(loss, c.recipe(c.steps))},
        evaluators=[autoencoding.component_evaluator(splits.train, splits.test, c.code)],
        samples=[codes],
        predictor=reconstruction.predictor(model, splits.facts, jax.nn.sigmoid),
        best="validation/squared_error",
        published=Published("squared_error", 3.0, source, "lower", caveat="second-hand"),
    )


if __name__ == "__main__":
    dlcore.main(__file__)
