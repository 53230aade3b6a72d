"""Generators of images from Gaussian noise: their inputs in training, and what they generate."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.kernels import random
from dlcore.tasks.image_generator import Generate
from dlcore.tasks.noise import Draw, normal
from dlcore.train.batched import over
from dlcore.train.model import Model
from dlcore.train.step import Batch, State

Inputs = Callable[[Batch, Array | None, bool], tuple[Array, ...]]


def inputs(size: int, labelled: bool = False) -> Inputs:
    """Returns the `inputs` of the `Model` of a generator: standard normal noise for each example.

    Args:
        size: the number of latent variables.
        labelled: whether the classes of the examples are inputs as well.

    Returns:
        (batch, key, train) -> (noise,), or (noise, `label`) if `labelled`: float32 [batch, size]
        and int32 [batch]. Without a key, at initialisation, the noise is zero and both have one
        row.
    """

    def noise(batch: Batch, key: Array | None, train: bool) -> tuple[Array, ...]:
        if key is None:
            z, rows = jnp.zeros((1, size)), slice(1)
        else:
            z, rows = random.normal(key, batch["row"], (size,)), slice(None)
        return (z, batch["label"][rows]) if labelled else (z,)

    return noise


def generate(model: Model, size: int, scale: float = 1.0, classes: int = 0) -> Generate:
    """Returns the function that generates images by a generator with outputs in [-1, 1].

    Args:
        model: the generator, of noise [n, size], and of labels [n] where there are classes.
        size: the number of latent variables.
        scale: factor of the noise; below 1, images have fewer failures and less variety, as with
            the truncation of Brock et al. 2019.
        classes: the number of classes, which are generated in turn; 0: none.

    Returns:
        (state, key, count, label=None, draw=normal) -> images [count, height, width, channels] in
        [0, 1], and their classes or None; with labels int32 [count] these classes are generated.
    """

    def images(
        state: State,
        key: Array,
        count: int,
        label: np.ndarray | None = None,
        draw: Draw = normal,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        z = scale * draw(key, (count, size))
        if classes and label is None:
            label = np.arange(count, dtype=np.int32) % classes
        given = (z,) if label is None else (z, label)
        x = over(lambda *each: model.on(state.params, state.extra, *each), *given)
        return (x + 1) / 2, label

    return images
