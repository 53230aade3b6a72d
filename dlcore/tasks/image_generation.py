"""Drawn images before a judge: a classifier of ours that was trained on the real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.metrics.generation import frechet, neighbours
from dlcore.metrics.known import Metric
from dlcore.models.apply import apply
from dlcore.models.cnn import CNN
from dlcore.train import weights as export
from dlcore.train.batched import over

METRICS = {
    "frechet_on_classifier_features": Metric("lower"),
    **dict.fromkeys(("legible", "as_asked", "rarest_class"), Metric("higher")),
}
SURE = 0.9  # an image is legible when the judge gives a class at least this probability


class Seen(NamedTuple):
    """What a judge sees in images: features [n, d] and probabilities [n, classes]."""

    features: np.ndarray
    probabilities: np.ndarray


def judge(path: Path) -> Callable[[np.ndarray], Seen]:
    """An exported `CNN` with batch normalisation, its sizes read from the file: images [n, h, w, c] -> `Seen`.

    Images are bytes or floats in [0, 1].
    """
    kept = export.load(path)
    own = kept["params"]["net"]
    widths = [own[f"Conv_{i}"]["kernel"].shape[-1] for i in range(sum(name.startswith("Conv_") for name in own))]
    hidden, classes = own["Dense_1"]["kernel"].shape
    net = CNN(widths, hidden, classes, norm="batch")

    def see(images: jax.Array) -> jax.Array:
        images = images / 255 if images.dtype == jnp.uint8 else images
        run = lambda **which: apply(net, "net", kept["params"], kept["extra"], images, **which)[0]  # noqa: E731
        return jnp.concatenate([run(features=True), jax.nn.softmax(run())], -1)

    def split(images: np.ndarray) -> Seen:
        both = over(see, images)
        return Seen(both[:, :hidden], both[:, hidden:])

    return split


def legibility(drawn: Seen, asked: np.ndarray | None = None) -> dict[str, float]:
    """How much of what was drawn is legible, which classes it is of, and how often it is of the class `asked` [n] for.

    `legible` is the share with a probability of at least 0.9; `rarest_class` and `commonest_class` are shares of the predicted classes,
    those that never occur included.
    """
    guess, classes = drawn.probabilities.argmax(-1), drawn.probabilities.shape[-1]
    shares = np.bincount(guess, minlength=classes) / len(guess)
    told = {
        "legible": (drawn.probabilities.max(-1) >= SURE).mean(),
        "rarest_class": shares.min(),
        "commonest_class": shares.max(),
    }
    if asked is not None:
        told["as_asked"] = (guess == asked).mean()
    return {name: float(value) for name, value in told.items()}


def verdict(
    see: Callable[[np.ndarray], Seen],
    drawn: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    asked: np.ndarray | None = None,
    near: int = 2000,
) -> dict[str, float]:
    """What a judge says of drawn images: their Fréchet distance from test, and the floor that as many of train have from it.

    Also the `legibility` of drawn, and precision and recall (`metrics.neighbours`) of its first `near` against as many of test.
    """
    own, held, floor = see(drawn), see(test), see(train[: len(drawn)])
    ours, theirs = own.features[:near], held.features[:near]
    return {
        "frechet_on_classifier_features": frechet(own.features, held.features),
        "floor_train_against_test": frechet(floor.features, held.features),
        **legibility(own, asked),
        "precision": neighbours(theirs, ours),
        "recall": neighbours(ours, theirs),
    }
