"""Learned features made visible: first-layer filters, activations by depth, and saliency."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from dlcore.data.source import Source
from dlcore.data.stream import in_order
from dlcore.kernels.shuffle import depth_to_space
from dlcore.models.apply import outputs
from dlcore.samples import Images, Sample
from dlcore.sharding import Tree
from dlcore.train.model import Logits
from dlcore.train.step import Batch, Extra, Params, State


def samples(
    model: Logits, source: Source, kernel: str, patch: int = 1, count: int = 20
) -> Callable[[State, Array], list[Sample]]:
    """Shows first-layer filters, activations and saliency maps of a classifier of images.

    Args:
        model: computes logits [batch, classes].
        source: `image`.
        kernel: path of the first layer's kernel in the parameters, as "net/Conv_0/kernel".
        patch: see `filters`.
        count: number of images with saliency maps, the first ones; activations are of the first.

    Returns:
        (state, key) -> samples; the key is not used.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        weights: Tree = state.params
        for name in kernel.split("/"):
            weights = weights[name]
        batch = next(in_order(source, count, np.arange(count)))
        return [
            filters(weights, patch),
            *activations(model, state, batch),
            *saliency(model, state, batch),
        ]

    return draw


def filters(kernel: ArrayLike, patch: int = 1, most: int = 64) -> Images:
    """Shows the filters of a kernel, each from its smallest weight (black) to its largest (white).

    They are shown in colour where c is 3, else as the mean over c.

    Args:
        kernel: [height, width, patch^2 c, out], or a matrix [patch^2 c, out] of one position.
        patch: side of the block of pixels that the network's channels are made of, as by
            `kernels.shuffle.space_to_depth`; 1: the channels are those of the image.
        most: largest number of filters shown, the first ones.

    Returns:
        Images [filters, patch height, patch width, 1 or 3] in [0, 1].

    Raises:
        ValueError: a kernel of other dimensions, or channels that patch^2 does not divide.
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
    logits: Logits,
    state: State,
    batch: Mapping[str, np.ndarray],
    layers: int = 8,
    most: int = 10,
) -> list[Images]:
    """Shows the strongest channels of the first image of a batch after each layer.

    The layers are the network's direct submodules that return [batch, height, width, c]. Black is 0
    or less; white is the largest activation among a layer's channels that are shown.

    Args:
        logits: computes logits of a batch.
        state: trained parameters.
        batch: arrays [batch, ...].
        layers: largest number of layers shown, evenly chosen by depth.
        most: largest number of channels shown of each, by their mean positive activation.

    Returns:
        One sample per layer; none where no layer returns images.
    """
    first = {name: np.asarray(x[:1]) for name, x in batch.items()}
    names: list[str] = []

    def run(params: Params, extra: Extra, batch: Batch) -> list[Array]:
        returned = outputs(lambda: logits(params, extra, batch, None, False))
        maps = {name: y for name, y in returned.items() if y.ndim == 4 and name and "/" not in name}
        # not returned as a dict: jit sorts the dicts it returns by name, not by depth
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
    logits: Logits,
    state: State,
    batch: Mapping[str, np.ndarray],
    label: np.ndarray | None = None,
) -> np.ndarray:
    """Computes d logit / d pixel of one class per image.

    Args:
        logits: computes logits [batch, classes].
        state: trained parameters.
        batch: `image` [batch, height, width, c], and what the model needs besides.
        label: int [batch], the classes; None: the predicted ones.

    Returns:
        float32 [batch, height, width, c].
    """

    def chosen(
        image: Array, params: Params, extra: Extra, batch: Batch, label: Array | None
    ) -> Array:
        y = logits(params, extra, {**batch, "image": image}, None, False)[0]
        label = y.argmax(-1) if label is None else label
        return jnp.take_along_axis(y, label[:, None], 1).sum()

    pixels = jnp.asarray(batch["image"], jnp.float32)
    return np.asarray(jax.jit(jax.grad(chosen))(pixels, state.params, state.extra, batch, label))


def saliency(logits: Logits, state: State, batch: Mapping[str, np.ndarray]) -> list[Images]:
    """Shows images and their saliency maps (Simonyan et al. 2014, section 3).

    Saliency is |d logit of the predicted class / d pixel|, its maximum over the channels; white is
    the largest value of an image.

    Args:
        logits, state, batch: as of `gradient`; images whose `mask` [batch], which the batch must
            have, is 0 are left out.

    Returns:
        Two samples: the images, and their maps [images, height, width] in [0, 1].
    """
    slope = np.abs(gradient(logits, state, batch)).max(-1)
    slope = slope / np.maximum(slope.max((1, 2), keepdims=True), 1e-30)
    shown = np.asarray(batch["mask"]) > 0
    return [
        Images("The images of the saliency maps", np.asarray(batch["image"])[shown]),
        Images("Saliency: how much each pixel moves the predicted class", slope[shown]),
    ]
