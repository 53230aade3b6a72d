"""Detection in a user's own images: JSON with boxes in their pixels, and pictures."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dlcore.bounds import Probability
from dlcore.data.facts import Facts
from dlcore.data.own import annotated, image_decoding
from dlcore.errors import UsageError
from dlcore.samples.boxes import Box, Boxes
from dlcore.tasks.detection import Detect, compiled
from dlcore.train.predictor import Answer
from dlcore.train.step import State

_THRESHOLD = 0.3  # of a run that has not been evaluated on validation yet


@dataclasses.dataclass(frozen=True)
class DetectionOptions:
    """Flags of `dlcore predict` for a detector."""

    threshold: Probability | None = None
    """smallest confidence of what is listed; by default that with the largest F1 on validation"""


@dataclasses.dataclass(frozen=True)
class Item:
    """An image that is prepared for a detector.

    Attributes:
        canvas: the image on the canvas of the network, uint8 [canvas height, canvas width, 3].
        scale: pixels of the canvas per pixel of the image.
        image: the image itself, uint8 [height, width, 3].
    """

    canvas: np.ndarray
    scale: float
    image: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class DetectionPredictor:
    """Finds objects in image files.

    Attributes:
        detect: finds objects on a canvas.
        facts: of the training data: `classes` and `canvas`.
        chosen: the threshold that was chosen on validation; None: the run has none.
        options: flags of `dlcore predict`.
    """

    detect: Detect
    facts: Facts
    chosen: float | None = None
    options: DetectionOptions = dataclasses.field(default_factory=DetectionOptions)

    def with_results(self, results: Mapping[str, Mapping[str, float]]) -> DetectionPredictor:
        """Returns a copy with the threshold that was chosen on validation, from a run's results.

        Args:
            results: {split: {metric: value}}; `chosen` of the copy is the `threshold` of
                "validation", and None where that is missing.
        """
        threshold = results.get("validation", {}).get("threshold")
        return dataclasses.replace(self, chosen=threshold)

    @property
    def threshold(self) -> float:
        """The smallest confidence of what is listed: the option, else `chosen`, else 0.3."""
        given = (self.options.threshold, self.chosen, _THRESHOLD)
        return next(value for value in given if value is not None)

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[Item]:
        """Reads image files, each placed on the canvas.

        Raises:
            UsageError: a file is not an image, or lines of text are given.
        """
        if text:
            raise UsageError("this model reads images: name image files")
        return [self._item(image_decoding.upright(file)) for file in files]

    def item(self, value: Any) -> Item:
        """Converts an image of Pillow, or an array uint8 [height, width, 3], of any size.

        Raises:
            UsageError: an array of another shape or dtype, or see `image_decoding.of_pillow`.
        """
        if isinstance(value, Image.Image):
            return self._item(image_decoding.of_pillow(value))
        array = np.asarray(value)
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[-1] != 3 or not array.size:
            raise UsageError(
                f"an image here is uint8 [height, width, 3], not {array.dtype} {array.shape}: give"
                " such an array, Pillow's image or a file"
            )
        return self._item(Image.fromarray(array))

    def _item(self, image: Image.Image) -> Item:
        width, height = self.facts.canvas
        canvas, scale = annotated.fitted(image, (width, height))
        return Item(canvas, scale, np.asarray(image.convert("RGB")))

    def batch(self, state: State, items: Sequence[Item]) -> list[Answer]:
        """Answers a batch of images.

        Args:
            state: trained parameters.
            items: as `items` returned them.

        Returns:
            ({"objects": [{"class", "confidence", "box": {"left", "top", "right", "bottom"}}, ...],
            "count": {class: number}, "width", "height", "threshold"}, the image with the boxes) of
            each; the most confident object first, boxes in pixels of the image.
        """
        scales = np.array([item.scale for item in items], np.float32)
        sizes = np.array([item.image.shape[1::-1] for item in items], np.float32)
        batch = {
            "image": np.stack([item.canvas for item in items]),
            "extent": sizes * scales[:, None],
            "row": np.arange(len(items), dtype=np.int32),
        }
        found = compiled(self.detect)(state.params, state.extra, batch)
        boxes, confidence, label = (np.asarray(array) for array in found)
        return [
            self._answer(item, boxes[i] / item.scale, confidence[i], label[i])
            for i, item in enumerate(items)
        ]

    def _answer(
        self, item: Item, boxes: np.ndarray, confidence: np.ndarray, label: np.ndarray
    ) -> Answer:
        height, width = item.image.shape[:2]
        order = np.argsort(-confidence, kind="stable")
        kept = [i for i in order if confidence[i] > 0 and confidence[i] >= self.threshold]
        listed = [
            {
                "class": self.facts.classes[label[i]],
                "confidence": round(float(confidence[i]), 4),
                "box": dict(
                    zip(("left", "top", "right", "bottom"), _rounded(boxes[i]), strict=True)
                ),
            }
            for i in kept
        ]
        counts = collections.Counter(each["class"] for each in listed)
        answer = {
            "objects": listed,
            "count": {name: counts[name] for name in self.facts.classes if counts[name]},
            "width": width,
            "height": height,
            "threshold": round(self.threshold, 4),
        }
        drawn = [
            Box(tuple(boxes[i]), f"{self.facts.classes[label[i]]} {confidence[i]:.2f}")
            for i in reversed(kept)
        ]
        return answer, Boxes("Detected", [item.image], [drawn], (self.line(answer),), columns=1)

    def line(self, answer: Mapping[str, Any]) -> str:
        """Formats an answer: the number of objects of each class."""
        if not answer["count"]:
            return f"no objects with a confidence of at least {answer['threshold']}"
        return ", ".join(f"{count} {name}" for name, count in answer["count"].items())


def _rounded(box: np.ndarray) -> list[float]:
    return [round(float(side), 2) for side in box]


def predictor(detect: Detect, facts: Facts) -> DetectionPredictor:
    """Returns the predictor of a detector.

    Args:
        detect: finds objects on a canvas.
        facts: of the training data: `classes` and `canvas`.
    """
    return DetectionPredictor(detect, facts)
