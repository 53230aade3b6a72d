"""Classes of a user's own images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dlcore.data.facts import Facts
from dlcore.data.own import image_decoding
from dlcore.errors import UsageError
from dlcore.samples import Images
from dlcore.tasks.class_answers import ClassAnswer, ClassOptions, answer_of, line_of
from dlcore.tasks.class_probabilities import softmax_of
from dlcore.train.model import Logits
from dlcore.train.predictor import Answer
from dlcore.train.step import State

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclasses.dataclass(frozen=True)
class ImagePredictor:
    """Predicts the classes of image files.

    Attributes:
        model: computes logits [batch, classes] of images of the training data's shape and dtype.
        facts: of the training data: `classes`, and the shape of the field `image`.
        options: flags of `dlcore predict`.
    """

    model: Logits
    facts: Facts
    options: ClassOptions = dataclasses.field(default_factory=ClassOptions)

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[np.ndarray]:
        """Reads image files as uint8, each resized to the shape of the training images.

        Raises:
            UsageError: a file is not an image, or lines of text are given.
        """
        if text:
            raise UsageError("this model reads images: name image files")
        return [image_decoding.read(file, self._shape) for file in files]

    def item(self, value: np.ndarray | Image) -> np.ndarray:
        """Converts an image to uint8 [height, width, channels], the shape of the training images.

        Args:
            value: an image of Pillow, which is resized and converted; or uint8 of that shape, where
                a grey image may lack the axis of its channel.

        Raises:
            UsageError: an array of another shape or dtype.
        """
        return image_decoding.of_value(value, self._shape)

    @property
    def _shape(self) -> tuple[int, ...]:
        return tuple(self.facts.fields["image"]["shape"])

    def batch(self, state: State, items: Sequence[np.ndarray]) -> list[Answer]:
        """Answers a batch of images.

        Args:
            state: trained parameters.
            items: as `items` returned them.

        Returns:
            ({"class", "probability", "classes": {name: probability}}, the image) of each, see
            `class_answers.answer_of`; `classes` has the `options.top` likeliest.
        """
        images = np.stack(items)
        batch = {"image": images, "row": np.arange(len(images), dtype=np.int32)}
        p = np.asarray(softmax_of(self.model)(state.params, state.extra, batch))
        answers: list[Answer] = []
        for image, each in zip(images, p, strict=True):
            answer = answer_of(each, self.facts.classes, self.options.top)
            caption = f"{answer['class']} {answer['probability']:.0%}"
            answers.append((answer, Images("Predicted", image[None], (caption,))))
        return answers

    def line(self, answer: ClassAnswer) -> str:
        """Formats an answer: the most likely class first."""
        return line_of(answer)
