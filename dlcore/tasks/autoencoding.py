"""Autoencoders: baselines of their errors, and images of what they reconstruct."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, PRNGKeyArray

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

Pixels = TypeVar("Pixels", np.ndarray, Array)
FILTERS = ("median_filter", "components", "best_linear_map", "nothing")


def flat(batch: Mapping[str, Pixels]) -> Pixels:
    """Returns the pixels of a batch as one row per image.

    Args:
        batch: `image`, uint8 [batch, height, width, channels].

    Returns:
        float32 [batch, height * width * channels] in [0, 1].
    """
    image = batch["image"]
    return image.reshape(len(image), -1).astype(jnp.float32) / 255


def grey(batch: Mapping[str, Pixels]) -> Pixels:
    """Returns the pixels of a batch as float32 in [0, 1].

    Args:
        batch: `image`, uint8 [batch, height, width, channels].

    Returns:
        float32 of the same shape.
    """
    return batch["image"].astype(jnp.float32) / 255


def squared_error_of_components(train: Arrays, test: Arrays, count: int) -> float:
    """Computes the squared error of test images reconstructed from principal components.

    Args:
        train: `image`, uint8 [N, height, width, channels], from which the components are computed.
        test: `image`, uint8 [M, height, width, channels], which are reconstructed.
        count: number of components, at most the number of training images and of pixels.

    Returns:
        The mean over images of the sum over pixels, for pixels in [0, 1].
    """
    x, y = flat(train.arrays), flat(test.arrays)
    linear = principal_components(x, count).project(y)
    return float(((linear - y) ** 2).sum(1).mean())


def component_evaluator(train: Arrays, test: Arrays, count: int) -> Evaluator:
    """Evaluates the metric `squared_error_of_components` at the end, on the split "test".

    Args:
        train, test: `image`, uint8 [N, height, width, channels].
        count: number of components, as many as the code of the autoencoder has numbers.
    """
    name = "squared_error_of_components"
    scores = lambda state: {name: squared_error_of_components(train, test, count)}  # noqa: E731
    return OfState("test", scores, {name: Metric("lower", baseline_of="squared_error")})


def coded(
    model: Model, state: State, x: Float[np.ndarray, "n d"] | Float[Array, "n d"]
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n k"]]:
    """Computes outputs and codes of an autoencoder in inference.

    Args:
        model: its network maps inputs [batch, n] to (outputs [batch, n], codes [batch, k]).
        state: trained parameters.
        x: inputs [N, n] of the network; they are computed in batches.

    Returns:
        Outputs [N, n] and codes [N, k], on the host.
    """

    def joined(x: Array) -> Array:
        return jnp.concatenate(model.on(state.params, state.extra, x), -1)

    both_arrays = over(joined, np.asarray(x))
    return both_arrays[:, : x.shape[1]], both_arrays[:, x.shape[1] :]


def code_samples(
    model: Model, train: Arrays, test: Arrays, size: int, classes: Sequence[str], count: int = 2000
) -> Callable[[State, Array], list[Sample]]:
    """Shows reconstructions beside those of principal components, and a map of the codes.

    Reconstructed are the first 20 test images. The map plots the first two principal components of
    the codes of the first `count` test images, coloured by label.

    Args:
        model: an autoencoder whose outputs are logits of flat pixels of images of 28x28.
        train, test: `image` and `label`.
        size: number of principal components, as many as a code has numbers.
        classes: names of the labels.
        count: number of test images whose codes are shown.

    Returns:
        (state, key) -> samples; the key is not used.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        examples = {name: array[:count] for name, array in test.arrays.items()}
        x, label = np.asarray(flat(examples)), examples["label"]
        logits, code = coded(model, state, x)
        projected = principal_components(code, 2).code(code)
        by_components = principal_components(flat(train.arrays), size).project(x[:20])
        rows = np.stack([x[:20], jax.nn.sigmoid(logits[:20]), np.clip(by_components, 0, 1)])
        points = tuple(
            Series(name, projected[label == i, 0], projected[label == i, 1], points=True)
            for i, name in enumerate(classes)
        )
        title = f"Test images, reconstructed from {size} numbers, and by principal components"
        return [
            Images(title, rows.reshape(-1, 28, 28), columns=20),
            Plot(
                f"The codes of {count:,} test images",
                "first component of the code",
                "second component",
                points,
            ),
        ]

    return draw


def filter_evaluator(train: Callable[[], Arrays], validation: Arrays, test: Arrays) -> Evaluator:
    """Evaluates the PSNR of classical filters on degraded test images, at the end.

    Principal components and the linear map are fitted to the training images; the size of the
    median filter and the number of components are chosen on the validation images. Metrics:
    `psnr_of_NAME` in dB, for NAME in `FILTERS`; "nothing" is the degraded image itself.

    Args:
        train: () -> training examples; called when the evaluator runs.
        validation, test: examples. All have `image`, uint8, and `degraded`, float32 in [0, 1], both
            [N, height, width, channels].
    """

    def filters() -> dict[str, dict[str, Callable[[np.ndarray], np.ndarray]]]:
        examples = train().arrays
        clean, degraded_train = np.asarray(grey(examples)), examples["degraded"]
        components = principal_components(clean, min(200, len(clean)))
        counts = (10, 20, 30, 40, 50, 75, 100, 150, 200)
        return {
            "median_filter": {str(size): baselines.median_filter(size) for size in (3, 5, 7)},
            "components": {str(count): components.first(count).project for count in counts},
            "best_linear_map": {"": baselines.linear_map(degraded_train, clean)},
            "nothing": {"": lambda x: x},
        }

    def score(state: State) -> dict[str, float]:
        scores = {}
        degraded, target = validation.arrays["degraded"], grey(validation.arrays)
        x, y = test.arrays["degraded"], grey(test.arrays)
        for name, sizes in filters().items():
            restored = sizes[baselines.best(sizes, degraded, target, psnr)](x)
            scores[f"psnr_of_{name}"] = psnr(np.clip(restored, 0, 1), y)
        return scores

    metrics = {f"psnr_of_{name}": Metric("higher", "dB", "psnr") for name in FILTERS}
    return OfState("test", score, metrics)


def restoration_samples(
    model: Model, test: Arrays, count: int = 20
) -> Callable[[State, Array], list[Sample]]:
    """Shows test images: degraded, after a 5x5 median filter, restored by the network, original.

    Args:
        model: its network returns (logits of pixels, code) for degraded images.
        test: `image`, uint8, and `degraded`, float32 in [0, 1], both [N, height, width, channels].
        count: number of images, the first ones of the split.

    Returns:
        (state, key) -> samples; the key is not used.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        examples = {name: array[:count] for name, array in test.arrays.items()}

        def restored(x: Array) -> Array:
            return jax.nn.sigmoid(model.on(state.params, state.extra, x)[0])

        by_network = over(restored, examples["degraded"], batch=count)
        median = baselines.median_filter(5)(examples["degraded"])
        rows = np.clip(
            np.concatenate([examples["degraded"], median, by_network, grey(examples)]), 0, 1
        )
        title = "Test images: degraded, by a median filter of 5x5, by the network, original"
        return [Images(title, rows, columns=count)]

    return draw


def sparse_evaluator(
    model: Model, train: Arrays, test: Arrays, mean: Float[np.ndarray, "1 d"]
) -> Evaluator:
    """Evaluates the fraction of dead units of a sparse code, and a baseline, on test at the end.

    Metrics: `dead`, the fraction of units that are not positive for any test image, and
    `squared_error_of_as_many_components`, see `squared_error_of_components`, with as many
    components as units are active for a test image on average.

    Args:
        model: a sparse autoencoder, see `coded`.
        train, test: `image`.
        mean: [1, n], subtracted from the pixels in [0, 1] that the model reads.
    """

    def score(state: State) -> dict[str, float]:
        code = coded(model, state, flat(test.arrays) - mean)[1]
        count = max(1, round(float((code > 0).sum(1).mean())))
        error = squared_error_of_components(train, test, min(count, mean.shape[1]))
        dead = float(1 - (code > 0).any(0).mean())
        return {"dead": dead, "squared_error_of_as_many_components": error}

    metrics = {
        "dead": Metric("lower"),
        "squared_error_of_as_many_components": Metric("lower", baseline_of="squared_error"),
    }
    return OfState("test", score, metrics)


def sparse_samples(
    model: Model, test: Arrays, mean: Float[np.ndarray, "1 d"], count: int = 1000
) -> Callable[[State, Array], list[Sample]]:
    """Shows decoder filters, from the most to the least active unit, and reconstructions.

    Activity is the fraction of images for which a unit is positive. In descending order of it, the
    filters of every k-th unit are shown, at most 100; k is the number of units // 100, at least 1.
    Each filter is scaled to its largest weight. Reconstructed are the first 20 test images.

    Args:
        model: a sparse autoencoder of images of 28x28, see `coded`, whose decoder is one Dense
            layer. It reads pixels less `mean`; its outputs approximate the pixels in [0, 1]: no
            logits, and `mean` not subtracted.
        test: `image`.
        mean: [1, 784], subtracted from the pixels in [0, 1].
        count: number of images, the first ones of the split, on which activity is measured.

    Returns:
        (state, key) -> samples; the key is not used.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        x = flat(test.arrays)[:count]
        y, code = coded(model, state, x - mean)
        order = np.argsort(-(code > 0).mean(0), kind="stable")
        shown = order[np.linspace(0, len(order) - 1, min(len(order), 100)).round().astype(int)]
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


def inputs(batch: Batch, key: PRNGKeyArray | None, train: bool) -> Float[Array, "batch d"]:
    """Returns the flat pixels of a batch, see `flat`; the `inputs` of a `Model`.

    The arguments `key` and `train` are not used.
    """
    return flat(batch)
