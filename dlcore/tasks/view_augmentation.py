"""Random views of images for training: crops, rotations, reflections, colours, erased squares."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer, PRNGKeyArray

from dlcore.bounds import NonNegativeInt, Probability, Range
from dlcore.kernels import augment, colours, crop, rotation
from dlcore.kernels.randaugment import randaugment
from dlcore.kernels.random import uniform
from dlcore.train.step import Batch


@dataclasses.dataclass(frozen=True)
class Views:
    """Draws random views of images.

    A call takes a random key of the step, `row`, each example's index in the global batch, int
    [batch], and images uint8 [batch, height, width, 1 or 3]; it returns one view of each, float32
    in [0, 1], of the same shape.

    Attributes:
        smallest: smallest fraction of the area that a random crop has; 1: no crop.
        ratio: largest aspect ratio of a crop, relative to the image's; the smallest is 1 / ratio.
        rotation: largest angle in degrees by which an image is rotated; 0: none.
        flip: whether images are reflected left to right with probability 1/2.
        brightness, contrast, saturation, hue: strengths of `kernels.colours.colour_jitter` and
            `random_hue`.
        jitter: probability that an image's colours are changed.
        grey: probability that an image becomes grey.
        erase: side in pixels of a square that is set to 0; 0: none.
        randaugment: number of changes by `kernels.randaugment`, of a magnitude of 1/2.
    """

    smallest: Annotated[float, Range(0, 1, "(]")] = 0.2
    ratio: Annotated[float, Range(1)] = 4 / 3
    rotation: Annotated[float, Range(0, 180)] = 0.0
    flip: bool = True
    brightness: Probability = 0.4
    contrast: Probability = 0.4
    saturation: Probability = 0.2
    hue: Annotated[float, Range(0, 0.5)] = 0.1
    jitter: Probability = 0.8
    grey: Probability = 0.2
    erase: NonNegativeInt = 0
    randaugment: NonNegativeInt = 0

    def __call__(
        self,
        key: PRNGKeyArray,
        row: Integer[Array, " batch"],
        images: Integer[Array, "batch height width c"],
    ) -> Float[Array, "batch height width c"]:
        """Returns one random view of each image.

        Args:
            key: random key of the step; a view depends on it and on the example's `row`.
            row: each example's index in the global batch [batch].
            images: uint8 [batch, height, width, 1 or 3].

        Returns:
            float32 in [0, 1], of the same shape. Saturation, hue and grey leave images of one
            channel as they are.
        """
        keys = [jax.random.fold_in(key, number) for number in range(7)]
        x = images.astype(jnp.result_type(float)) / 255  # float64 under jax_enable_x64
        if self.smallest < 1:
            x = crop.random_resized_crop(keys[0], row, x, self.smallest, self.ratio)
        if self.rotation:
            x = rotation.random_rotation(keys[5], row, x, self.rotation)
        if self.flip:
            x = augment.random_flip(keys[1], row, x)
        coloured = x.shape[-1] == 3
        if self.jitter:
            x = self._jittered(keys[2], row, x, coloured)
        if self.grey and coloured:
            x = colours.random_grey(keys[3], row, x, self.grey)
        if self.randaugment:
            x = randaugment(keys[6], row, x, self.randaugment)
        return augment.random_erase(keys[4], row, x, self.erase) if self.erase else x

    def _jittered(self, key: Array, row: Array, images: Array, coloured: bool) -> Array:
        """Changes the colours of images with probability `jitter`."""
        keys = [jax.random.fold_in(key, number) for number in range(3)]
        strengths = self.brightness, self.contrast, self.saturation * coloured
        x = colours.colour_jitter(keys[0], row, images, *strengths)
        if self.hue and coloured:
            x = colours.random_hue(keys[1], row, x, self.hue)
        chosen = uniform(keys[2], row)[:, None, None, None] < self.jitter
        return jnp.where(chosen, x, images)

    def augment(self, batch: Batch, key: Array) -> Batch:
        """Returns a batch whose `image`, uint8, is replaced by one view, float32 in [0, 255].

        The batch needs `row`. The method is of type `Augment`.
        """
        return {**batch, "image": 255 * self(key, batch["row"], batch["image"])}
