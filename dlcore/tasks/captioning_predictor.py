"""Captions of a user's own pictures."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
from jax import Array
from PIL import Image

from dlcore.bounds import PositiveInt
from dlcore.data.facts import Facts
from dlcore.data.own import captions as own
from dlcore.data.own import image_decoding
from dlcore.data.sets.captions import text
from dlcore.tasks.captioning import Attention, Describer
from dlcore.train.predictor import Answer
from dlcore.train.step import State


@dataclasses.dataclass(frozen=True)
class CaptionOptions:
    """Flags of `dlcore predict` for a captioning model."""

    beams: PositiveInt = 3
    """hypotheses that are kept; 1 is the greedy caption"""


@dataclasses.dataclass(frozen=True)
class CaptionPredictor:
    """Captions a user's picture files.

    Attributes:
        describer: captions pictures.
        facts: of the training data: the shape of the field `image`.
        options: flags of `dlcore predict`; their beams are used instead of the describer's.
    """

    describer: Describer
    facts: Facts
    options: CaptionOptions

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[np.ndarray]:
        """Reads picture files, resized to the training pictures, on white where transparent.

        Args:
            files: the pictures.
            text: not used.

        Returns:
            uint8 [height, width, 3] of each file, the shape of the training pictures.

        Raises:
            UsageError: a file is no picture.
        """
        return [own.read(file, self._shape[0]) for file in files]

    def item(self, value: np.ndarray | Image.Image) -> np.ndarray:
        """Converts an image of Pillow, or an array uint8 of the shape of the training pictures.

        Returns:
            uint8 of the shape of the training pictures, [height, width, 3]; an image of Pillow is
            resized to it, and put on white where transparent.

        Raises:
            UsageError: an array of another shape or dtype.
        """
        if isinstance(value, Image.Image):
            return own.on_white(image_decoding.of_pillow(value), self._shape[0])
        return image_decoding.of_value(value, self._shape)

    def batch(self, state: State, items: Sequence[np.ndarray]) -> list[Answer]:
        """Answers a batch of pictures.

        Args:
            state: trained parameters.
            items: as `items` returned them.

        Returns:
            ({"caption", "probability"}, the picture with its attention) of each; the probability is
            that of the whole caption.
        """
        images = np.stack(items)
        tokens, total, weights = map(np.asarray, self._compiled(state.params, images))
        answers: list[Answer] = []
        for image, each, logp, weight in zip(images, tokens, total, weights, strict=True):
            caption = text(each, self.describer.vocabulary)
            words = tuple(caption.split())
            answer = {"caption": caption, "probability": float(np.exp(min(logp, 0.0)))}
            answers.append((answer, Attention(caption, image, words, weight[: len(words)])))
        return answers

    @property
    def _shape(self) -> tuple[int, ...]:
        return tuple(self.facts.fields["image"]["shape"])

    @functools.cached_property
    def _compiled(self) -> Callable[..., Array]:
        return jax.jit(lambda params, x: self.describer.search(params, x, self.options.beams))


def predictor(describer: Describer, facts: Facts) -> CaptionPredictor:
    """Returns a `CaptionPredictor` with as many beams as the describer has."""
    return CaptionPredictor(describer, facts, CaptionOptions(describer.beams))
