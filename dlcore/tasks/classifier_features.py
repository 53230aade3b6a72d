"""Features and class probabilities that a trained classifier computes of images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from dlcore.models.apply import apply
from dlcore.models.cnn import CNN
from dlcore.train import weights
from dlcore.train.batched import over


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
