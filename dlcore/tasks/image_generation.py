"""Image generation: metrics of generated images on the features of a classifier, and samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Integer, Shaped

from dlcore.data.splits import Splits
from dlcore.errors import UsageError
from dlcore.metrics.generation import frechet, neighbours
from dlcore.metrics.known import Metric
from dlcore.models.apply import apply
from dlcore.models.cnn import CNN
from dlcore.samples import Images, Sample
from dlcore.tasks.noise import Draw, NoiseOptions, draw, normal
from dlcore.train import weights
from dlcore.train.batched import over
from dlcore.train.evaluators import Evaluator, OfState
from dlcore.train.predictor import Answer
from dlcore.train.step import State


class Generate(Protocol):
    """Protocol of functions that generate images, by class where the model has classes.

    (state, key, count, label=None, draw=normal) -> images [count, height, width, channels] in
    [0, 1], and their classes int32 [count] or None; all arguments are positional.
    """

    def __call__(
        self,
        state: State,
        key: Array,
        count: int,
        label: np.ndarray | None = None,
        draw: Draw = normal,
        /,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Generates images.

        Args:
            state: trained parameters.
            key: random key.
            count: number of images.
            label: their classes, int32 [count]; None: all classes in turn.
            draw: (key, shape) -> the noise from which they are generated.

        Returns:
            Images [count, height, width, channels] in [0, 1], and their classes int32 [count] or
            None.
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
CONFIDENT = 0.9  # an image is legible where the largest class probability is at least this


class Features(NamedTuple):
    """Outputs of a classifier for images.

    Attributes:
        features: float [n, d], of its last hidden layer.
        probabilities: float [n, classes].
    """

    features: Float[np.ndarray, "n d"]
    probabilities: Float[np.ndarray, "n classes"]


Extractor = Callable[[np.ndarray], Features]


def feature_extractor(path: Path) -> Extractor:
    """Loads an exported `CNN` with batch normalisation as an extractor of features.

    Args:
        path: of the exported file; the network's sizes are read from it.

    Returns:
        Images [n, height, width, channels], uint8 or floats in [0, 1] -> `Features`.

    Raises:
        UsageError: the file is missing or damaged.
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
        `as_asked`, the fraction of images that are predicted as their label.
    """
    predicted, classes = generated.probabilities.argmax(-1), generated.probabilities.shape[-1]
    fractions = np.bincount(predicted, minlength=classes) / len(predicted)
    metrics = {
        "legible": (generated.probabilities.max(-1) >= CONFIDENT).mean(),
        "rarest_class": fractions.min(),
        "commonest_class": fractions.max(),
    }
    if label is not None:
        metrics["as_asked"] = (predicted == label).mean()
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
        classifier: file of the exported classifier, see `feature_extractor`.
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


@dataclasses.dataclass(frozen=True)
class GenerationOptions(NoiseOptions):
    """Flags of `dlcore predict` for a generator of images."""

    label: str = ""
    """the class to generate; by default all classes in turn"""


@dataclasses.dataclass(frozen=True)
class ImageGenerator:
    """Generates images for `dlcore predict --count`.

    Attributes:
        generate: (state, key, count, label, draw) -> images and their classes.
        classes: names of the classes of a class-conditional model; () for other models.
        options: flags of `dlcore predict`.
    """

    generate: Generate
    classes: Sequence[str]
    options: GenerationOptions = dataclasses.field(default_factory=GenerationOptions)

    def generated(self, state: State, count: int) -> list[Answer]:
        """Generates images of the class `options.label`, or of all classes in turn.

        Args:
            state: trained parameters.
            count: number of images.

        Returns:
            ({"seed"} and "class" where there are classes, the image) of each; the seed is that of
            the options, the same for all.

        Raises:
            UsageError: an unknown class, or a class for a model without classes.
        """
        o, label = self.options, None
        if o.label:
            if o.label not in self.classes:
                there = ", ".join(self.classes) or "none, as it was trained without"
                raise UsageError(f"--label {o.label}: the classes of this model are {there}")
            label = np.full(count, list(self.classes).index(o.label), np.int32)
        elif o.walk and self.classes:  # another class with each point, and none between them
            label = (np.arange(count) // o.walk % len(self.classes)).astype(np.int32)
        images, of = self.generate(state, jax.random.key(o.seed), count, label, draw(o))
        answers: list[Answer] = []
        for number, image in enumerate(images):
            answer: dict[str, object] = {"seed": o.seed}
            if of is not None and self.classes:
                answer["class"] = self.classes[of[number]]
            answers.append((answer, Images(f"Generated, seed {o.seed}", image[None])))
        return answers

    def line(self, answer: Mapping[str, object]) -> str:
        """Formats an answer: the class, where there are classes, and the seed."""
        return ", ".join(f"{name} {answer[name]}" for name in ("class", "seed") if name in answer)


def predictor(generate: Generate, classes: Sequence[str] = ()) -> ImageGenerator:
    """Returns the object that generates images for `dlcore predict --count`.

    Args:
        generate, classes: see `ImageGenerator`.
    """
    return ImageGenerator(generate, classes)
