"""Label maps of a user's own images, at the images' own sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dlcore.bounds import Probability
from dlcore.data.facts import Facts
from dlcore.data.own import image_decoding
from dlcore.errors import UsageError
from dlcore.samples.overlay import PredictedMap
from dlcore.tasks.segmentation import logits_of
from dlcore.train.model import Logits
from dlcore.train.predictor import Answer
from dlcore.train.step import State


@dataclasses.dataclass(frozen=True)
class MapOptions:
    """Flags of `dlcore predict` for label maps."""

    strength: Probability = 0.5
    """opacity of the classes' colours in the picture"""


@dataclasses.dataclass(frozen=True)
class MapPredictor:
    """Predicts the class of each pixel of image files.

    Attributes:
        model: computes logits [batch, height, width, classes] of images of the training data's
            shape.
        facts: of the training data: `classes`, and the shape of the field `image`.
        options: flags of `dlcore predict`.
    """

    model: Logits
    facts: Facts
    options: MapOptions = dataclasses.field(default_factory=MapOptions)

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[Image.Image]:
        """Reads image files.

        Raises:
            UsageError: a file is not an image, or lines of text are given.
        """
        if text:
            raise UsageError("this model reads images: name image files")
        return [image_decoding.upright(file) for file in files]

    def item(self, value: object) -> Image.Image:
        """Converts an array uint8 [height, width, 1 or 3] or [height, width] to an image of Pillow.

        An image of Pillow keeps the upper 8 of 16 bits, if it has so many.

        Raises:
            UsageError: the array is empty, not uint8, or of another shape; or see
                `image_decoding.of_pillow`.
        """
        if isinstance(value, Image.Image):
            return image_decoding.of_pillow(value)
        array = np.asarray(value)
        image = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3))
        if array.dtype != np.uint8 or not image or 0 in array.shape:
            raise UsageError(
                "an image here is uint8 [height, width, 3] or [height, width], not"
                f" {array.dtype} {array.shape}: give that, Pillow's image or a file"
            )
        return Image.fromarray(array[..., 0] if array.shape[2:] == (1,) else array)

    def batch(self, state: State, items: Sequence[Image.Image]) -> list[Answer]:
        """Answers a batch of images.

        Args:
            state: trained parameters.
            items: images of any size.

        Returns:
            ({"classes": {name: fraction of the pixels}, "confidence", "width", "height"}, the label
            map at the image's own size) of each. Classes are listed by their fraction, without
            those that do not occur; the confidence is the mean probability of the predicted class
            over the pixels of the logits.
        """
        shape = tuple(self.facts.fields["image"]["shape"])
        images = np.stack([image_decoding.resized(image, shape) for image in items])
        batch = {"image": images, "row": np.arange(len(images), dtype=np.int32)}
        found = np.asarray(logits_of(self.model)(state.params, state.extra, batch))
        answers: list[Answer] = []
        for n, (image, logits) in enumerate(zip(items, found, strict=True)):
            if n and image is items[n - 1]:  # a batch is padded by repeating its last item
                answers.append(answers[-1])
                continue
            labels = enlarged(logits, image.size[::-1])
            answer = self._answer(labels, logits)
            pixels = np.asarray(image.convert("RGB"))
            names = tuple(self.facts.classes)
            sample = PredictedMap("Predicted", pixels, labels, names, self.options.strength)
            answers.append((answer, sample))
        return answers

    def _answer(self, labels: np.ndarray, logits: np.ndarray) -> dict[str, object]:
        names = self.facts.classes
        counts = np.bincount(labels.ravel(), minlength=len(names)) / labels.size
        order = [i for i in np.argsort(-counts, kind="stable") if counts[i]]
        shifted = np.exp(logits - logits.max(-1, keepdims=True))
        return {
            "classes": {names[i]: round(float(counts[i]), 6) for i in order},
            "confidence": round(float((1 / shifted.sum(-1)).mean()), 6),
            "width": labels.shape[1],
            "height": labels.shape[0],
        }

    def line(self, answer: Mapping[str, Any]) -> str:
        """Formats an answer: fractions of the classes, the largest first, and the confidence."""
        listed = ", ".join(f"{name} {share:.1%}" for name, share in answer["classes"].items())
        return f"{listed} (confidence {answer['confidence']:.1%})"


def enlarged(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes logits bilinearly, class by class, and takes the class of the largest.

    Args:
        logits: float32 [height, width, classes], of at most 256 classes.
        size: height and width of the result.

    Returns:
        Class indices, uint8 [*size].
    """
    best = np.full(size, -np.inf, np.float32)
    labels = np.zeros(size, np.uint8)
    for number in range(logits.shape[-1]):
        one = Image.fromarray(np.ascontiguousarray(logits[..., number], np.float32))
        values = np.asarray(one.resize(size[::-1], Image.Resampling.BILINEAR))
        labels[values > best] = number
        best = np.maximum(best, values)
    return labels


def predictor(model: Logits, facts: Facts) -> MapPredictor:
    """Returns the predictor of a model of label maps.

    Args:
        model: computes logits [batch, height, width, classes].
        facts: of the training data: `classes`, and the shape of the field `image`.
    """
    return MapPredictor(model, facts)
