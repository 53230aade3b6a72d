"""Learned features made visible: the first layer's filters, activations by depth, and which pixels
a decision hangs on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.data.source import Source
from dlcore.data.stream import in_order
from dlcore.kernels.shuffle import depth_to_space
from dlcore.models.apply import outputs
from dlcore.samples import Images, Sample
from dlcore.train.model import Logits
from dlcore.train.step import State


def samples(
    model: Logits, source: Source, kernel: str, patch: int = 1, count: int = 20
) -> Callable[[State, Array], list[Sample]]:
    """What a classifier of images has learned.

    Args:
        model: gives logits [batch, classes].
        source: examples with `image`.
        kernel: the path of the first layer's kernel in the parameters, as "net/Conv_0/kernel".
        patch: see `filters`.
        count: how many images are shown.

    Returns:
        (state, key) -> the filters of the first layer, and activations and saliency of the first
        images of the source.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        weights: Any = state.params
        for name in kernel.split("/"):
            weights = weights[name]
        batch = next(in_order(source, count, np.arange(count)))
        return [
            filters(weights, patch),
            *activations(model, state, batch),
            *saliency(model, state, batch),
        ]

    return draw


def filters(kernel: Any, patch: int = 1, most: int = 64) -> Images:
    """The filters of a kernel [height, width, c, out] as pictures, each from its smallest weight
    (black) to its largest (white).

    Colours where c is 3, else the mean over c. With a `patch` the channels are the pixels of a
    block (`kernels.shuffle`), and the pictures patch times as large; a matrix [patch^2 c, out] sees
    one block. Raises ValueError for a kernel of other dimensions.
    """
    weights = np.asarray(kernel, np.float32)
    weights = weights[None, None] if weights.ndim == 2 else weights
    if weights.ndim != 4:
        raise ValueError(f"filters are [height, width, channels, out], not {list(weights.shape)}")
    pictures = np.asarray(depth_to_space(jnp.moveaxis(jnp.asarray(weights), -1, 0), patch))[:most]
    pictures = pictures if pictures.shape[-1] == 3 else pictures.mean(-1, keepdims=True)
    low, high = (f(pictures, axis=(1, 2, 3), keepdims=True) for f in (np.min, np.max))
    return Images(
        "First-layer filters", (pictures - low) / np.where(high > low, high - low, 1), columns=16
    )


def activations(
    logits: Logits, state: State, batch: Mapping[str, Any], layers: int = 8, most: int = 10
) -> list[Images]:
    """The first image of a batch as it stands after each layer: that layer's strongest channels,
    black at 0 or below.

    Of the network's own modules, not those inside them, that return [batch, height, width, c] up to
    `layers` are taken, evenly by depth. None: no picture.
    """
    first = {name: np.asarray(x[:1]) for name, x in batch.items()}
    names: list[str] = []

    def run(params: Any, extra: Any, batch: Any) -> list[Array]:
        seen = outputs(lambda: logits(params, extra, batch, None, False))
        maps = {name: y for name, y in seen.items() if y.ndim == 4 and name and "/" not in name}
        # beside the result: a dict that leaves jit is sorted by name, not by depth
        names.extend(maps)
        return list(maps.values())

    maps = [np.asarray(y[0], np.float32) for y in jax.jit(run)(state.params, state.extra, first)]
    chosen = np.linspace(0, len(names) - 1, min(layers, len(names))).round().astype(int)
    return [_strongest(names[i], maps[i], most) for i in chosen]


def _strongest(name: str, maps: np.ndarray, most: int) -> Images:
    positive = np.maximum(maps, 0)
    order = np.argsort(-positive.mean((0, 1)), kind="stable")[:most]
    shown = np.moveaxis(positive[..., order], -1, 0)
    height, width, channels = maps.shape
    captions = tuple(f"channel {channel}" for channel in order)
    return Images(
        f"After {name}: {height} x {width}, {channels} channels",
        shown / max(float(shown.max()), 1e-30),
        captions,
    )


def gradient(
    logits: Logits, state: State, batch: Mapping[str, Any], label: Any = None
) -> np.ndarray:
    """d logit / d pixel [batch, height, width, c] of each image's class: `label` [batch], or the
    predicted one if None.
    """

    def chosen(image: Array, params: Any, extra: Any, batch: Any, label: Any) -> Array:
        y = logits(params, extra, {**batch, "image": image}, None, False)[0]
        label = y.argmax(-1) if label is None else label
        return jnp.take_along_axis(y, label[:, None], 1).sum()

    pixels = jnp.asarray(batch["image"], jnp.float32)
    return np.asarray(jax.jit(jax.grad(chosen))(pixels, state.params, state.extra, batch, label))


def saliency(logits: Logits, state: State, batch: Mapping[str, Any]) -> list[Images]:
    """|d logit of the predicted class / d pixel|, the largest over the channels (Simonyan et al.
    2014, section 3), and the images.

    White is an image's own largest value.
    """
    slope = np.abs(gradient(logits, state, batch)).max(-1)
    slope = slope / np.maximum(slope.max((1, 2), keepdims=True), 1e-30)
    shown = np.asarray(batch["mask"]) > 0
    return [
        Images("The images of the saliency maps", np.asarray(batch["image"])[shown]),
        Images("Saliency: how much each pixel moves the predicted class", slope[shown]),
    ]
