"""Reconstructions of a user's images by autoencoders."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
from jax import Array

from dlcore.data.facts import Facts
from dlcore.data.own import image_decoding
from dlcore.samples import Images
from dlcore.train.model import Model
from dlcore.train.predictor import Answer
from dlcore.train.step import Extra, Params, State


@dataclasses.dataclass(frozen=True)
class ReconstructionOptions:
    """Flags of `dlcore predict` for an autoencoder: none."""


@dataclasses.dataclass(frozen=True)
class ImageReconstructor:
    """Reconstructs images with an autoencoder.

    Attributes:
        model: computes (outputs, codes) of a batch of `image`, uint8 of the shape in `facts`.
        facts: of the training data: the shape of the field `image`.
        output: outputs of the network -> as many pixels, clipped to [0, 1] afterwards.
        options: flags of `dlcore predict`.
    """

    model: Model
    facts: Facts
    output: Callable[[Array], Array]
    options: ReconstructionOptions = dataclasses.field(default_factory=ReconstructionOptions)

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[np.ndarray]:
        """Reads image files, resized to the shape of the training images.

        Args:
            files: the images.
            text: not used.

        Returns:
            uint8 [height, width, channels] of each file.

        Raises:
            UsageError: a file is not an image.
        """
        return [image_decoding.read(file, self.facts.fields["image"]["shape"]) for file in files]

    def batch(self, state: State, items: Sequence[np.ndarray]) -> list[Answer]:
        """Answers a batch of images.

        Args:
            state: trained parameters.
            items: as `items` returned them.

        Returns:
            ({"root_mean_squared_difference"} of pixels in [0, 1], the reconstruction) of each
            image.
        """
        images = np.stack(items)
        made = np.asarray(self._compiled(state.params, state.extra, images))
        made = np.clip(made.reshape(images.shape), 0, 1)
        difference = ((made - images.astype(np.float32) / 255) ** 2).reshape(len(images), -1)
        root = np.sqrt(difference.mean(1))
        return [
            ({"root_mean_squared_difference": float(each)}, Images("Reconstructed", image[None]))
            for each, image in zip(root, made, strict=True)
        ]

    @functools.cached_property
    def _compiled(self) -> Callable[[Params, Extra, np.ndarray], Array]:
        def restored(params: Params, extra: Extra, images: Array) -> Array:
            (y, _), _ = self.model(params, extra, {"image": images}, None, False)
            return self.output(y)

        return jax.jit(restored)


def predictor(
    model: Model, facts: Facts, output: Callable[[Array], Array] = lambda y: y
) -> ImageReconstructor:
    """Returns the predictor of an autoencoder, whose reconstructions `dlcore predict --out` writes.

    Args:
        model, facts, output: see `ImageReconstructor`.
    """
    return ImageReconstructor(model, facts, output)
