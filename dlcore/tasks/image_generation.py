"""Image generation: metrics of generated images on the features of a classifier, and samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.bounds import Range
from dlcore.data.splits import Splits
from dlcore.errors import UsageError
from dlcore.metrics.generation import frechet, neighbours
from dlcore.metrics.known import Metric
from dlcore.models.apply import apply
from dlcore.models.cnn import CNN
from dlcore.samples import Images, Sample
from dlcore.train import weights
from dlcore.train.batched import over
from dlcore.train.evaluators import Evaluator, OfState
from dlcore.train.predictor import Answer
from dlcore.train.step import State


class Generate(Protocol):
    """A generator of images, by class where the model has classes."""

    def __call__(
        self, state: State, key: Array, count: int, label: np.ndarray | None = None, /
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Images [count, height, width, channels] in [0, 1], and their classes int32 [count].

        `label` int32 [count] are the classes to generate; None: all classes in turn.
        """


DISTANCES = {
    "frechet_on_classifier_features": Metric("lower"),
    "floor_train_against_test": Metric(None),
}
METRICS = {
    **DISTANCES,
    "legible": Metric("higher"),
    "rarest_class": Metric("higher"),
    "commonest_class": Metric(None),
    "as_asked": Metric("higher"),
    "precision": Metric("higher"),
    "recall": Metric("higher"),
}
CONFIDENT = 0.9  # an image is legible when the classifier gives a class at least this probability


class Features(NamedTuple):
    """What a classifier computes of images: features [n, d] and probabilities [n, classes]."""

    features: np.ndarray
    probabilities: np.ndarray


Extractor = Callable[[np.ndarray], Features]


def feature_extractor(path: Path) -> Extractor:
    """An exported `CNN` with batch normalisation, its sizes read from the file.

    Returns:
        A function of images [n, height, width, channels], bytes or floats in [0, 1].
    """
    loaded = weights.load(path)
    params = loaded["params"]["net"]
    layers = sum(name.startswith("Conv_") for name in params)
    widths = [params[f"Conv_{i}"]["kernel"].shape[-1] for i in range(layers)]
    hidden, classes = params["Dense_1"]["kernel"].shape
    net = CNN(widths, hidden, classes, norm="batch")

    def run(images: Array) -> Array:
        images = images / 255 if images.dtype == jnp.uint8 else images

        def output(features: bool) -> Array:
            trees = loaded["params"], loaded["extra"]
            return apply(net, "net", *trees, images, features=features)[0]

        return jnp.concatenate([output(True), jax.nn.softmax(output(False))], -1)

    def extract(images: np.ndarray) -> Features:
        both = over(run, images)
        return Features(both[:, :hidden], both[:, hidden:])

    return extract


def legibility(generated: Features, label: np.ndarray | None = None) -> dict[str, float]:
    """How many generated images are legible, which classes they are of, and whether the right ones.

    Args:
        generated: what the classifier computes of them.
        label: the class that each was generated for, int [n]; None: none.

    Returns:
        `legible`, the fraction with a probability of at least 0.9; `rarest_class` and
        `commonest_class`, fractions of the predicted classes, those that never occur included; with
        labels `as_asked`, the fraction of the right class.
    """
    guess, classes = generated.probabilities.argmax(-1), generated.probabilities.shape[-1]
    fractions = np.bincount(guess, minlength=classes) / len(guess)
    found = {
        "legible": (generated.probabilities.max(-1) >= CONFIDENT).mean(),
        "rarest_class": fractions.min(),
        "commonest_class": fractions.max(),
    }
    if label is not None:
        found["as_asked"] = (guess == label).mean()
    return {name: float(value) for name, value in found.items()}


def scores(
    extract: Extractor,
    generated: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    label: np.ndarray | None = None,
    near: int = 2000,
) -> dict[str, float]:
    """The metrics of generated images.

    Args:
        extract: the classifier's features.
        generated, train, test: images. The Fréchet distance of `generated` from `test` has as its
            floor that of as many training images.
        label: the class that each was generated for.
        near: precision and recall (`metrics.generation.neighbours`) are of so many of both.
    """
    ours, real = extract(generated), extract(test)
    floor = extract(train[: len(generated)])
    a, b = ours.features[:near], real.features[:near]
    return {
        "frechet_on_classifier_features": frechet(ours.features, real.features),
        "floor_train_against_test": frechet(floor.features, real.features),
        **legibility(ours, label),
        "precision": neighbours(b, a),
        "recall": neighbours(a, b),
    }


def evaluator(classifier: Path, generate: Generate, splits: Splits, count: int) -> Evaluator:
    """`scores` of `count` images that a model generates, at the end."""

    def score(state: State) -> dict[str, float]:
        generated, label = generate(state, jax.random.key(0), count)
        extract = feature_extractor(classifier)
        train, test = (each.arrays["image"] for each in (splits.train, splits.test))
        return scores(extract, generated, train, test, label)

    return OfState("test", score, METRICS)


def distance_evaluator(
    classifier: Path, generate: Generate, splits: Splits, count: int
) -> Evaluator:
    """The Fréchet distance of `count` images that a model generates, and its floor, at the end."""

    def score(state: State) -> dict[str, float]:
        extract = feature_extractor(classifier)
        ours = extract(generate(state, jax.random.key(0), count)[0]).features
        real = extract(splits.test.arrays["image"]).features
        floor = extract(splits.train.arrays["image"][: len(splits.test)]).features
        return {
            "frechet_on_classifier_features": frechet(ours, real),
            "floor_train_against_test": frechet(floor, real),
        }

    return OfState("test", score, DISTANCES)


def samples(
    title: str, generate: Generate, count: int = 100
) -> Callable[[State, Array], list[Sample]]:
    """`count` generated images."""
    return lambda state, key: [Images(title, generate(state, key, count)[0])]


@dataclasses.dataclass(frozen=True)
class GenerationOptions:
    """Flags of `dlcore predict` for a generator of images."""

    seed: Annotated[int, Range(0, 2**32 - 1)] = 0
    """of the draws"""
    label: str = ""
    """the class to generate; by default all classes in turn"""


@dataclasses.dataclass(frozen=True)
class ImageGenerator:
    """Generates images, of a class where the model has classes.

    Attributes:
        generate: (state, key, count, labels) -> images and their classes.
        classes: names of the classes that the model can be given; () for none.
    """

    generate: Generate
    classes: Sequence[str]
    options: GenerationOptions = dataclasses.field(default_factory=GenerationOptions)

    def generated(self, state: State, count: int) -> list[Answer]:
        """For each image {"seed"}, and "class" where there are classes. UsageError: no such class,
        or a model without classes.
        """
        o, label = self.options, None
        if o.label:
            if o.label not in self.classes:
                there = ", ".join(self.classes) or "none, as it was trained without"
                raise UsageError(f"--label {o.label}: the classes of this model are {there}")
            label = np.full(count, list(self.classes).index(o.label), np.int32)
        images, of = self.generate(state, jax.random.key(o.seed), count, label)
        answers: list[Answer] = []
        for number, image in enumerate(images):
            answer: dict[str, Any] = {"seed": o.seed}
            if of is not None and self.classes:
                answer["class"] = self.classes[of[number]]
            answers.append((answer, Images(f"Generated, seed {o.seed}", image[None])))
        return answers


def predictor(generate: Generate, classes: Sequence[str] = ()) -> ImageGenerator:
    """Images that a model generates, by their number."""
    return ImageGenerator(generate, classes)
