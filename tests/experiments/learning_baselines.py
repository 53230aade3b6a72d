"""Baselines of the learning tests: what can be said without having learnt."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from dlcore.data.source import Batch, Source
from dlcore.kernels.latent import bernoulli_log_density
from dlcore.metrics.detection import Objects, average_precision
from dlcore.metrics.generation import frechet
from dlcore.metrics.images import psnr
from dlcore.runs import catalog
from dlcore.tasks import classifier_features, detection_baseline, questions, segmentation
from dlcore.train.experiment import Experiment
from tests.experiments.learning import Trainer, scrambled


def _all(source: Source, most: int = 20_000) -> Batch:
    """All examples, or at most `most`, evenly spaced."""
    return source.gather(np.unique(np.linspace(0, len(source) - 1, most).astype(int)))


def majority(experiment: Experiment, field: str = "label", split: str = "validation") -> float:
    """Computes the accuracy on `split` of the most frequent training class."""
    train, held = (
        _all(source)[field] for source in (experiment.train, experiment.evaluated[split])
    )
    values, counts = np.unique(train, return_counts=True)
    return float((held == values[counts.argmax()]).mean())


def same_boxes(experiment: Experiment) -> float:
    """Computes mAP at IoU 0.5 on validation of the same, most probable boxes in every image."""
    source = experiment.evaluated["validation"]
    batch = source.gather(np.arange(len(source)))
    true = [
        Objects(boxes[:count], label[:count], np.ones(count))
        for boxes, label, count in zip(batch["boxes"], batch["label"], batch["count"], strict=True)
    ]
    constant = detection_baseline.constant(experiment.train, len(experiment.splits.facts.classes))
    classes = experiment.splits.facts.classes
    return average_precision(true, [constant] * len(true), classes)["map_50"]


def same_map(experiment: Experiment) -> float:
    """Computes mean IoU on validation of the most frequent training class at each position."""
    classes = len(experiment.splits.facts.classes)
    held = experiment.evaluated["validation"]
    return segmentation.of_positions(experiment.train, held, classes).miou


def all_foreground(experiment: Experiment) -> float:
    """Computes the Dice score on validation of a mask that covers every pixel."""
    fraction = float((_all(experiment.evaluated["validation"])["instances"] > 0).mean())
    return 2 * fraction / (1 + fraction)


def unigram(experiment: Experiment) -> float:
    """Computes the cross-entropy of the validation targets under their training frequencies.

    In nats per target, with add-one smoothing.
    """
    sources = (experiment.train, experiment.evaluated["validation"])
    train, held = (batch["targets"][batch["weight"] > 0] for batch in map(_all, sources))
    counts = np.bincount(train, minlength=int(max(train.max(), held.max())) + 1) + 1.0
    return float(-np.log(counts / counts.sum())[held].mean())


def without_context(experiment: Experiment, specials: int = 3) -> float:
    """Computes the cross-entropy of masked tokens for a model that sees their own position alone.

    In nats per token. Of ten such tokens eight are replaced by the mask, one by a random token, and
    one is unchanged (Devlin et al. 2019), so that the shown token has some information.
    """
    size = (
        int(
            max(
                _all(source)["tokens"].max()
                for source in (experiment.train, experiment.evaluated["validation"])
            )
        )
        + 1
    )
    train, held = (
        np.bincount(tokens[tokens >= specials], minlength=size)[specials:]
        for tokens in (
            _all(source)["tokens"]
            for source in (experiment.train, experiment.evaluated["validation"])
        )
    )
    own, true = (train + 1) / (train + 1).sum(), held / held.sum()
    # [token, shown in its place], where it is no mask
    shown = (np.eye(len(own)) + 1 / len(own)) / 2
    guess = own[:, None] * shown / (own[:, None] * shown).sum(0)
    return float(-(0.8 * true @ np.log(own) + 0.2 * (true[:, None] * shown * np.log(guess)).sum()))


def without_the_source(experiment: Experiment) -> float:
    """Computes the entropy of the synthetic language, in nats per target token.

    It is the cross-entropy of a model that knows the language but ignores the source sentence: two
    nouns of 40, a verb of 20, and twice either none or one of 20 adjectives.
    """
    held = _all(experiment.evaluated["validation"])
    sentences = int(held["pair"].max(1).sum())
    nats = 2 * np.log(40) + np.log(20) + 2 * (np.log(2) + 0.5 * np.log(20))
    return float(sentences * nats / held["weight"].sum())


def _images(experiment: Experiment) -> tuple[np.ndarray, np.ndarray]:
    """Pixels in [0, 1] of training and validation."""
    sources = (experiment.train, experiment.evaluated["validation"])
    train, held = (_all(source)["image"].astype(np.float64) / 255 for source in sources)
    return train.reshape(len(train), -1), held.reshape(len(held), -1)


def mean_image(experiment: Experiment) -> float:
    """Computes the squared error, summed over pixels, of the mean training image on validation."""
    train, held = _images(experiment)
    return float(((held - train.mean(0)) ** 2).sum(1).mean())


def pixel_by_pixel(experiment: Experiment) -> float:
    """Computes PSNR on validation of each pixel's best linear estimate from its degraded value."""
    train, held = _images(experiment)
    seen = _all(experiment.evaluated["validation"])["degraded"].reshape(held.shape)
    noise = ((seen - held) ** 2).mean()
    mean, variance = train.mean(0), train.var(0)
    return psnr(np.clip(mean + variance / (variance + noise) * (seen - mean), 0, 1), held)


def sliding_window(experiment: Experiment) -> float:
    """Computes F1 of the sliding window on the validation questions that have an answer."""
    splits = experiment.splits
    return questions.baseline_scores(splits.train, splits.validation)["sliding_window_f1"]


def independent_pixels(experiment: Experiment) -> float:
    """Computes the negative log-likelihood of independent Bernoulli pixels with training means.

    In nats per image, on validation.
    """
    train, held = _images(experiment)
    mean = np.clip(train.mean(0), 1e-3, 1 - 1e-3)
    return float(
        -np.asarray(
            bernoulli_log_density(jnp.asarray(held), jnp.asarray(np.log(mean / (1 - mean)))[None])
        ).mean()
    )


def untrained(metric: str) -> Callable[[Experiment], float]:
    """Returns (experiment) -> a metric of the untrained model."""

    def measured(experiment: Experiment) -> float:
        config: Any = dataclasses.replace(experiment.config, steps=0)  # type: ignore[type-var]
        return Trainer(dataclasses.replace(experiment, config=config)).metric(
            metric, experiment.train
        )

    return measured


def learnt_from(
    nothing: Callable[[Experiment], Source], metric: str
) -> Callable[[Experiment], float]:
    """Returns (experiment) -> a metric of the model after training on `nothing(experiment)`.

    Such data have the frequencies of single values, and no information on the answers.
    """
    return lambda experiment: Trainer(experiment).metric(metric, nothing(experiment))


def drawn_pixel_by_pixel(page: str) -> Callable[[Experiment], float]:
    """Returns (experiment) -> Fréchet distance of images of permuted pixels from test images.

    Each pixel position is permuted between the training images; features are those of the
    classifier of `page`.
    """

    def measured(experiment: Experiment) -> float:
        see = classifier_features.feature_extractor(
            catalog.folder() / "assets" / f"{page}_classifier.npz"
        )
        source = scrambled("image")(experiment)
        test = experiment.splits.test.arrays["image"]
        return frechet(see(_all(source)["image"]).features, see(test).features)

    return measured
