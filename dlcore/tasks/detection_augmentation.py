"""Augmentation of images with boxes in training, for `Experiment(augment=...)`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated

import jax
import jax.numpy as jnp
from jax import Array

from dlcore.bounds import NonNegativeFloat, PositiveFloat, Probability, Range
from dlcore.kernels import augment_boxes as kernels
from dlcore.kernels.boxes import place_boxes
from dlcore.kernels.random import uniform
from dlcore.train.step import Batch

Augment = Callable[[Batch, Array], Batch]
_MIDDLE = 127.5  # the grey of pixels that no image covers


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Random changes of training images and boxes; called as (batch, key) -> the changed batch.

    With `smallest`, `largest` and `aspect` 1, and all else 0 or False, images that fill the canvas
    stay as they are; others are shifted within it, along the axis that they do not fill.

    Attributes:
        smallest, largest: range of the scale of an image, log-uniform. An image is then shifted at
            random, so that it covers the canvas or, along an axis where it is smaller, lies within.
        aspect: largest ratio of the scales of the two axes, at least 1, by which each image is
            scaled besides.
        mosaic: probability of four images in windows around a random point, see
            `mosaic_windows`; needs `dlcore.data.sets.detection.with_mosaics`.
        mirror: whether images are mirrored left to right with probability 1/2.
        upside_down: whether they are mirrored upside down too, with probability 1/2; without
            `mirror` they are not.
        colour: strength of `random_colour`.
        visible: boxes of whose area less than this fraction is left are removed.
    """

    smallest: PositiveFloat = 0.8
    largest: PositiveFloat = 1.3
    aspect: Annotated[float, Range(1)] = 1.2
    mosaic: Probability = 0.5
    mirror: bool = True
    upside_down: bool = False
    colour: NonNegativeFloat = 0.2
    visible: Probability = 0.3

    def __call__(self, batch: Batch, key: Array) -> Batch:
        """Changes the images of a batch at random, and their boxes accordingly.

        Args:
            batch: with `image` [batch, height, width, c] in [0, 255], `boxes` [batch, k, 4],
                `label` [batch, k], `extent` and `row`; with mosaics also `partner_...` of these.
            key: of the draws, which also depend on `row`.

        Returns:
            The batch with `image` float32, `boxes` and `label` changed; other fields, such as
            `count`, are not. With mosaics it has 4 k boxes and labels. Boxes that are no object are
            zeros; their labels mean nothing.
        """
        key, row = jax.random.fold_in(key, 101), batch["row"]
        image, boxes, label = self._placed(batch, key)
        if self.mirror:
            image, boxes = kernels.random_mirror(
                jax.random.fold_in(key, 3), row, image, boxes, self.upside_down
            )
        image = image / _MIDDLE
        if self.colour:
            image = kernels.random_colour(jax.random.fold_in(key, 4), row, image, self.colour)
        return {**batch, "image": (image + 1) * _MIDDLE, "boxes": boxes, "label": label}

    def _placed(self, batch: Batch, key: Array) -> tuple[Array, Array, Array]:
        """The image alone on the canvas or a mosaic with its partners; its boxes and labels."""
        row, fields = batch["row"], {n: batch[n][:, None] for n in ("image", "boxes", "extent")}
        height, width = batch["image"].shape[1:3]
        dtype = jnp.promote_types(batch["boxes"].dtype, jnp.float32)
        canvas = jnp.asarray([width, height], dtype)
        whole = jnp.tile(jnp.asarray([[[0, 0, width, height]]], dtype), (len(row), 1, 1))
        windows = whole
        if self.mosaic:  # the image alone, and again in the first of four windows
            tiles = kernels.mosaic_windows(jax.random.fold_in(key, 0), row, canvas)
            windows = jnp.concatenate([whole, tiles], 1)
            fields = {
                n: jnp.concatenate([x, x, batch[f"partner_{n}"]], 1) for n, x in fields.items()
            }
        count = windows.shape[1]
        rows = (row[:, None] * count + jnp.arange(count)[None]).reshape(-1)
        image, boxes, extent = (x.reshape(-1, *x.shape[2:]) for x in fields.values())
        window = windows.reshape(-1, 4)
        place = kernels.random_placement(
            jax.random.fold_in(key, 1),
            rows,
            extent,
            window,
            (self.smallest, self.largest),
            self.aspect,
        )
        image = kernels.place_images(image.astype(dtype) - _MIDDLE, place)
        boxes = place_boxes(boxes, place, window, self.visible)
        if not self.mosaic:
            return image, boxes, batch["label"]
        image, boxes = (x.reshape(len(row), count, *x.shape[1:]) for x in (image, boxes))
        chosen = uniform(jax.random.fold_in(key, 2), row) < self.mosaic
        mosaic = kernels.in_windows(image[:, 1:], tiles)
        image = jnp.where(chosen[:, None, None, None], mosaic, image[:, 0])
        label = jnp.concatenate([batch["label"][:, None], batch["partner_label"]], 1)
        # of an image alone only the first of the four parts has boxes
        alone = boxes[:, :1] * (jnp.arange(4) == 0)[None, :, None, None]
        boxes = jnp.where(chosen[:, None, None, None], boxes[:, 1:], alone)
        return image, boxes.reshape(len(row), -1, 4), label.reshape(len(row), -1)
