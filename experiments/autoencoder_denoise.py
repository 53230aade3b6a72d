"""A convolutional autoencoder that removes noise or blur, compared with classical filters.

Family: Autoencoder
Task: denoising, deblurring
Data: MNIST 3.0.1 (TFDS), 55,000/5,000/10,000; --offline: scikit-learn's digits at 28x28
Published: none for this noise
Headline: test/psnr

--task denoise: Gaussian noise of standard deviation 0.5 on pixels in [0, 1]; --task deblur: a
Gaussian blur of 2 pixels, and noise of 0.05. PSNR is the mean over images of outputs clipped to
[0, 1]. Sizes of the filters are chosen on validation; the linear map has the least squared error.
"""

from dataclasses import dataclass, replace
from typing import Literal

import jax

import dlcore
from dlcore.bounds import PositiveInt
from dlcore.data.sets import images
from dlcore.models.autoencoder import Autoencoder, ConvDecoder, ConvEncoder
from dlcore.tasks import autoencoding, reconstruction, restoration
from dlcore.train import DataSource, Experiment, Model, Objective, Recipe, Splits

DEGRADATION = {"denoise": (0.0, 0.5), "deblur": (2.0, 0.05)}  # blur in pixels, noise


@dataclass(frozen=True)
class Config:
    task: Literal["denoise", "deblur"] = "denoise"
    widths: tuple[PositiveInt, ...] = (32, 64)
    depth: PositiveInt = 2
    recipe: Recipe = Recipe("adamw", lr=3e-3, weight_decay=0.01, clip_norm=1.0)
    batch: int = 64
    steps: int = 2500


PRESETS = {
    "deblur": Config(task="deblur"),
    "offline": Config(steps=800),
    "tiny": Config(widths=(4, 8), depth=1, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    splits = images.load("mnist", source, training=55_000)
    validation = images.degraded(splits.validation, *DEGRADATION[c.task], seed=0)
    test = images.degraded(splits.test, *DEGRADATION[c.task], seed=1)
    return replace(splits, validation=validation, test=test)


def build(c: Config, splits: Splits) -> Experiment:
    blur, noise = DEGRADATION[c.task]
    net = Autoencoder(ConvEncoder(c.widths, c.depth), ConvDecoder(c.widths[::-1], depth=c.depth))
    model = Model("net", net, inputs=restoration.inputs(blur, noise))

    filters = autoencoding.filter_evaluator(
        lambda: images.degraded(splits.train, blur, noise, seed=2), splits.validation, splits.test
    )
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(restoration.loss(model), c.recipe(c.steps))},
        evaluators=[filters],
        samples=[autoencoding.restoration_samples(model, splits.test)],
        predictor=reconstruction.predictor(model, splits.facts, jax.nn.sigmoid),
        best="validation/psnr",
    )


if __name__ == "__main__":
    dlcore.main(__file__)
