"""Image generation: metrics of generated images on the features of a classifier, and samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
from jax import Array
from jaxtyping import Integer, Shaped

from dlcore.data.splits import Splits
from dlcore.metrics.generation import frechet, neighbours
from dlcore.metrics.known import Metric
from dlcore.samples import Images, Sample
from dlcore.tasks.classifier_features import Extractor, Features, feature_extractor
from dlcore.tasks.image_generator import Generate, ImageGenerator
from dlcore.train.evaluators import Evaluator, OfState
from dlcore.train.step import State

DISTANCES = {
    "frechet_on_classifier_features": Metric("lower"),
    "floor_train_against_test": Metric(None),
}
METRICS = {
    **DISTANCES,
    "legible": Metric("higher"),
    "rarest_class": Metric("higher"),
    "commonest_class": Metric(None),
    "predicted_as_requested": Metric("higher"),
    "precision": Metric("higher"),
    "recall": Metric("higher"),
}
CONFIDENT = 0.9  # an image is legible where the largest class probability is at least this


def legibility(
    generated: Features, label: Integer[np.ndarray, " n"] | None = None
) -> dict[str, float]:
    """Measures how many generated images are legible, and the distribution of their classes.

    Args:
        generated: the classifier's outputs for them.
        label: class with which each was generated, int [n]; None: without classes.

    Returns:
        `legible`, the fraction of images whose largest class probability is at least 0.9;
        `rarest_class` and `commonest_class`, the smallest and the largest fraction of images that
        are predicted as one class, 0 for a class that is never predicted; with labels also
        `predicted_as_requested`, the fraction of images that are predicted as their label.
    """
    predicted, classes = generated.probabilities.argmax(-1), generated.probabilities.shape[-1]
    fractions = np.bincount(predicted, minlength=classes) / len(predicted)
    metrics = {
        "legible": (generated.probabilities.max(-1) >= CONFIDENT).mean(),
        "rarest_class": fractions.min(),
        "commonest_class": fractions.max(),
    }
    if label is not None:
        metrics["predicted_as_requested"] = (predicted == label).mean()
    return {name: float(value) for name, value in metrics.items()}


def scores(
    extract: Extractor,
    generated: Shaped[np.ndarray, "n height width c"],
    train: Shaped[np.ndarray, "m height width c"],
    test: Shaped[np.ndarray, "k height width c"],
    label: Integer[np.ndarray, " n"] | None = None,
    near: int = 2000,
) -> dict[str, float]:
    """Computes all metrics of generated images.

    Args:
        extract: computes features.
        generated, train, test: images [n, height, width, channels], uint8 or floats in [0, 1].
        label: class with which each was generated, int [n]; None: without classes.
        near: number of generated and of test images for precision and recall
            (`metrics.generation.neighbours`), the first ones.

    Returns:
        {metric: value} of `METRICS`. `frechet_on_classifier_features` is the Fréchet distance of
        the n generated images from the test images, `floor_train_against_test` that of the first n
        training images: what perfect samples would reach. `precision` and `recall`: see `near`. The
        others: see `legibility`.
    """
    of_generated, of_test = extract(generated), extract(test)
    of_train = extract(train[: len(generated)])
    generated_features, test_features = of_generated.features[:near], of_test.features[:near]
    return {
        "frechet_on_classifier_features": frechet(of_generated.features, of_test.features),
        "floor_train_against_test": frechet(of_train.features, of_test.features),
        **legibility(of_generated, label),
        "precision": neighbours(test_features, generated_features),
        "recall": neighbours(generated_features, test_features),
    }


def evaluators(classifier: Path, generate: Generate, splits: Splits, count: int) -> list[Evaluator]:
    """Evaluates `scores` of `count` generated images at the end, on the split "test".

    Args:
        classifier: file of the exported classifier, which is read when the evaluator runs, see
            `feature_extractor`.
        generate: (state, key, count) -> images and classes.
        splits: whose train and test splits are in memory, with `image`.
        count: number of images, generated from a fixed key.

    Returns:
        One evaluator; none where the facts have `no_classifier`, as for a user's images.
    """

    def score(state: State) -> dict[str, float]:
        generated, label = generate(state, jax.random.key(0), count)
        extract = feature_extractor(classifier)
        train, test = (each.arrays["image"] for each in (splits.train, splits.test))
        return scores(extract, generated, train, test, label)

    return [] if splits.facts.get("no_classifier") else [OfState("test", score, METRICS)]


def distance_evaluators(
    classifier: Path, generate: Generate, splits: Splits, count: int
) -> list[Evaluator]:
    """Evaluates the Fréchet distance of `count` generated images and its floor, at the end.

    Metrics: see `scores`, but the floor is of as many training images as there are test images.

    Args:
        classifier, generate, splits, count: as of `evaluators`.

    Returns:
        One evaluator, or none, as `evaluators`.
    """

    def score(state: State) -> dict[str, float]:
        extract = feature_extractor(classifier)
        of_generated = extract(generate(state, jax.random.key(0), count)[0]).features
        of_test = extract(splits.test.arrays["image"]).features
        of_train = extract(splits.train.arrays["image"][: len(splits.test)]).features
        return {
            "frechet_on_classifier_features": frechet(of_generated, of_test),
            "floor_train_against_test": frechet(of_train, of_test),
        }

    return [] if splits.facts.get("no_classifier") else [OfState("test", score, DISTANCES)]


def samples(
    title: str, generate: Generate, count: int = 100
) -> Callable[[State, Array], list[Sample]]:
    """Shows generated images.

    Args:
        title: of the sample.
        generate: (state, key, count) -> images and classes.
        count: number of images.

    Returns:
        (state, key) -> samples.
    """
    return lambda state, key: [Images(title, generate(state, key, count)[0])]


def predictor(generate: Generate, classes: Sequence[str] = ()) -> ImageGenerator:
    """Returns the object that generates images for `dlcore predict --count`.

    Args:
        generate, classes: see `ImageGenerator`.
    """
    return ImageGenerator(generate, classes)
