"""Augmentation of images together with their label maps, for `Experiment(augment=...)`."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import jax
import jax.numpy as jnp
from jax import Array

from dlcore.bounds import PositiveFloat, PositiveInt, Probability, Range
from dlcore.errors import UsageError
from dlcore.kernels.augment import random_flip
from dlcore.kernels.colours import colour_jitter
from dlcore.kernels.crop import crop_images, crop_labels, random_boxes
from dlcore.kernels.random import per_example
from dlcore.tasks.image_augmentation import Augment
from dlcore.tasks.image_inputs import to_unit
from dlcore.train.step import Batch


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Random changes of training images and, by the same geometry, of their label maps.

    Called without arguments, it returns the function that makes them, (batch, key) -> batch, for
    `image` [batch, height, width, c] and `label_map` [batch, height, width]. The changes are made
    in the order of the attributes.

    Attributes:
        crop: height and width to which a random box of each image is resized.
        min_side, max_side: range of the box's side as a fraction of the image's, see
            `crop.random_boxes`; pixels outside of the image are ignored by the loss.
        aspect: largest ratio by which the box is wider or higher than the image's shape.
        flip: whether images are mirrored left to right with probability 1/2.
        any_direction: whether they are also mirrored top to bottom and transposed, each with
            probability 1/2; `crop` must be square.
        brightness, contrast, saturation: strengths of `colours.colour_jitter`; 0: no change.
    """

    crop: tuple[PositiveInt, PositiveInt]
    min_side: PositiveFloat = 0.5
    max_side: PositiveFloat = 1.0
    aspect: Annotated[float, Range(1)] = 1.2
    flip: bool = True
    any_direction: bool = False
    brightness: Probability = 0.2
    contrast: Probability = 0.2
    saturation: Probability = 0.2

    def __call__(self) -> Augment:
        """Returns the augmentation: (batch, key) -> batch.

        Returns:
            A function that replaces `image` [batch, height, width, c] by float32 [batch, *crop, c]
            in [0, 255] (float64 under `jax_enable_x64`), and `label_map` by the labels of its
            pixels, [batch, *crop].

        Raises:
            UsageError: `any_direction` with a crop that is not square.
        """
        height, width = self.crop
        if self.any_direction and height != width:
            raise UsageError(
                f"--crop {height} {width}: what is turned in any direction must be square; give two"
                " equal sides, or --no-any-direction"
            )
        return self._changed

    def _changed(self, batch: Batch, key: Array) -> Batch:
        row, image = batch["row"], to_unit(batch["image"])
        keys = [jax.random.fold_in(key, number) for number in range(5)]
        ratio = (1 / self.aspect, self.aspect)
        boxes = random_boxes(keys[0], row, (self.min_side, self.max_side), ratio)
        image = crop_images(image, boxes, self.crop)
        labels = crop_labels(batch["label_map"], boxes, self.crop)[..., None]
        if self.flip:
            image, labels = (random_flip(keys[1], row, x) for x in (image, labels))
        if self.any_direction:
            image, labels = (_transposed(keys[2], row, x) for x in (image, labels))
            image, labels = (_turned(keys[3], row, x) for x in (image, labels))
        strengths = (self.brightness, self.contrast, self.saturation)
        image = colour_jitter(keys[4], row, image, *strengths)
        return {**batch, "image": 255 * image, "label_map": labels[..., 0]}


def _transposed(key: Array, row: Array, x: Array) -> Array:
    """Swaps rows and columns of each image with probability 1/2."""
    swapped = per_example(lambda each: jax.random.bernoulli(each), key, row)
    return jnp.where(swapped[:, None, None, None], x.swapaxes(1, 2), x)


def _turned(key: Array, row: Array, x: Array) -> Array:
    """Mirrors each image top to bottom with probability 1/2."""
    return random_flip(key, row, x.swapaxes(1, 2)).swapaxes(1, 2)
