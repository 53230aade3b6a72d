"""Autoencoders: what their errors are compared with, and pictures of what they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.analysis import baselines
from dlcore.analysis.baselines import principal_components
from dlcore.data.source import Arrays
from dlcore.metrics.images import psnr
from dlcore.metrics.known import Metric
from dlcore.samples import Images, Plot, Sample, Series
from dlcore.train.batched import over
from dlcore.train.evaluators import Evaluator, OfState
from dlcore.train.model import Model
from dlcore.train.step import Batch, State

FILTERS = ("median_filter", "components", "best_linear_map", "nothing")


def flat(batch: Mapping[str, Any]) -> Any:
    """The pixels of `image`, uint8 [batch, height, width, channels], as float32 [batch, n] in [0,
    1].
    """
    image = batch["image"]
    return image.reshape(len(image), -1).astype(jnp.float32) / 255


def grey(batch: Mapping[str, Any]) -> Any:
    """The pixels of `image`, uint8, as float32 of the same shape in [0, 1]."""
    return batch["image"].astype(jnp.float32) / 255


def squared_error_of_components(train: Arrays, test: Arrays, count: int) -> float:
    """The mean over test images of the sum of squares that `count` principal components leave."""
    x, y = flat(train.arrays), flat(test.arrays)
    linear = principal_components(x, count).project(y)
    return float(((linear - y) ** 2).sum(1).mean())


def component_evaluator(train: Arrays, test: Arrays, count: int) -> Evaluator:
    """`squared_error_of_components` of as many components as the code has numbers, at the end."""
    name = "squared_error_of_components"
    scores = lambda state: {name: squared_error_of_components(train, test, count)}  # noqa: E731
    return OfState("test", scores, {name: Metric("lower")})


def coded(model: Model, state: State, x: Any) -> tuple[np.ndarray, np.ndarray]:
    """Outputs [N, n] and codes [N, k] of an autoencoder for its arguments x [N, n]."""

    def both(x: Array) -> Array:
        return jnp.concatenate(model.on(state.params, state.extra, x), -1)

    found = over(both, np.asarray(x))
    return found[:, : x.shape[1]], found[:, x.shape[1] :]


def code_samples(
    model: Model, train: Arrays, test: Arrays, size: int, classes: Sequence[str], count: int = 2000
) -> Callable[[State, Array], list[Sample]]:
    """Reconstructions beside those of principal components, and a map of the codes.

    Args:
        model: an autoencoder whose outputs are logits of flat pixels.
        train, test: examples with `image` and `label`.
        size: numbers of a code.
        classes: names of the labels.
        count: test images whose codes are shown.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        some = {name: array[:count] for name, array in test.arrays.items()}
        x, label = np.asarray(flat(some)), some["label"]
        logits, code = coded(model, state, x)
        plane = principal_components(code, 2).code(code)
        linear = principal_components(flat(train.arrays), size).project(x[:20])
        rows = np.stack([x[:20], jax.nn.sigmoid(logits[:20]), np.clip(linear, 0, 1)])
        clouds = tuple(
            Series(name, plane[label == i, 0], plane[label == i, 1], points=True)
            for i, name in enumerate(classes)
        )
        title = f"Test images, reconstructed from {size} numbers, and by principal components"
        return [
            Images(title, rows.reshape(-1, 28, 28), columns=20),
            Plot(
                f"The codes of {count:,} test images",
                "first component of the code",
                "second component",
                clouds,
            ),
        ]

    return draw


def filter_evaluator(train: Callable[[], Arrays], validation: Arrays, test: Arrays) -> Evaluator:
    """PSNR of classical filters on `degraded` images, at the end.

    Each filter has the size that is best for the validation images; what it learns, it learns from
    training images alone, which are made when they are needed. Metrics: `psnr_of_NAME` for NAME of
    `FILTERS`.
    """

    def filters() -> dict[str, dict[str, Callable[[np.ndarray], np.ndarray]]]:
        examples = train().arrays
        clean, bad = np.asarray(grey(examples)), examples["degraded"]
        axes = principal_components(clean, min(200, len(clean)))
        counts = (10, 20, 30, 40, 50, 75, 100, 150, 200)
        return {
            "median_filter": {str(size): baselines.median_filter(size) for size in (3, 5, 7)},
            "components": {str(count): axes.first(count).project for count in counts},
            "best_linear_map": {"": baselines.linear_map(bad, clean)},
            "nothing": {"": lambda x: x},
        }

    def score(state: State) -> dict[str, float]:
        found = {}
        seen, aim = validation.arrays["degraded"], grey(validation.arrays)
        x, y = test.arrays["degraded"], grey(test.arrays)
        for name, sizes in filters().items():
            restored = sizes[baselines.best(sizes, seen, aim, psnr)](x)
            found[f"psnr_of_{name}"] = psnr(np.clip(restored, 0, 1), y)
        return found

    metrics = {f"psnr_of_{name}": Metric("higher", "dB") for name in FILTERS}
    return OfState("test", score, metrics)


def restoration_samples(
    model: Model, test: Arrays, count: int = 20
) -> Callable[[State, Array], list[Sample]]:
    """Test images: degraded, filtered, restored by the network, original."""

    def draw(state: State, key: Array) -> list[Sample]:
        some = {name: array[:count] for name, array in test.arrays.items()}

        def restored(x: Array) -> Array:
            return jax.nn.sigmoid(model.on(state.params, state.extra, x)[0])

        new = over(restored, some["degraded"], batch=count)
        median = baselines.median_filter(5)(some["degraded"])
        rows = np.clip(np.concatenate([some["degraded"], median, new, grey(some)]), 0, 1)
        title = "Test images: degraded, by a median filter of 5x5, by the network, original"
        return [Images(title, rows, columns=count)]

    return draw


def sparse_evaluator(model: Model, train: Arrays, test: Arrays, mean: np.ndarray) -> Evaluator:
    """How many units of a sparse code are never active, and the error of principal components.

    As many components are taken as units are active for an image on average. `mean` [1, n] is
    subtracted from the pixels; metrics: `dead`, `squared_error_of_as_many_components`.
    """

    def score(state: State) -> dict[str, float]:
        code = coded(model, state, flat(test.arrays) - mean)[1]
        count = max(1, round(float((code > 0).sum(1).mean())))
        error = squared_error_of_components(train, test, min(count, mean.shape[1]))
        dead = float(1 - (code > 0).any(0).mean())
        return {"dead": dead, "squared_error_of_as_many_components": error}

    names = ("dead", "squared_error_of_as_many_components")
    return OfState("test", score, {name: Metric("lower") for name in names})


def sparse_samples(
    model: Model, test: Arrays, mean: np.ndarray, count: int = 1000
) -> Callable[[State, Array], list[Sample]]:
    """What units add to an image, from the most to the least active ones; and reconstructions."""

    def draw(state: State, key: Array) -> list[Sample]:
        x = flat(test.arrays)[:count]
        y, code = coded(model, state, x - mean)
        order = np.argsort(-(code > 0).mean(0), kind="stable")
        shown = order[:: max(1, len(order) // 100)][:100]
        kernel = np.asarray(state.params[model.name]["decoder"]["Dense_0"]["kernel"])
        filters = kernel[shown].reshape(-1, 28, 28)
        shades = 0.5 + 0.5 * filters / np.abs(filters).max((1, 2), keepdims=True)
        rows = np.clip(np.concatenate([x[:20], y[:20]]), 0, 1).reshape(-1, 28, 28)
        title = "What units add to the image, the most active first (grey: nothing)"
        return [
            Images(title, shades, columns=20),
            Images("Test images and their reconstructions", rows, columns=20),
        ]

    return draw


def inputs(batch: Batch, key: Array | None, train: bool) -> Array:
    """The flat pixels of a batch."""
    return flat(batch)
