"""Instances in a user's own images, at the images' own sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Integer
from PIL import Image

from dlcore.bounds import PositiveInt
from dlcore.data.facts import Facts
from dlcore.data.own import image_decoding
from dlcore.data.sets.instances import reflected
from dlcore.errors import UsageError
from dlcore.samples import Part, PartWriter
from dlcore.samples.overlay import outlined
from dlcore.tasks.instances import confidences, probabilities, separated
from dlcore.tasks.instances_samples import FOUND, brightened
from dlcore.train.model import Logits
from dlcore.train.predictor import Answer, each_once
from dlcore.train.step import State

_UNIT = 64  # sides are continued to a multiple, so that few programs are compiled
_LISTED = 1000  # instances whose measures are listed


@dataclasses.dataclass(frozen=True)
class InstanceOptions:
    """Flags of `dlcore predict` for instances."""

    smallest: PositiveInt = 16
    """instances of fewer pixels are left out"""


@dataclasses.dataclass(frozen=True)
class FoundInstances:
    """Shows the instances found in one image.

    Attributes:
        title: heading.
        image: uint8 [height, width, 1].
        instances: the number of each pixel's instance, int32 [height, width]; 0 is background.
    """

    title: str
    image: np.ndarray
    instances: np.ndarray

    def parts(self, files: PartWriter) -> list[Part]:
        """Writes the image with outlines, and a mask: white where there are instances.

        Returns:
            One part for each of the two pictures.
        """
        drawn = outlined(brightened(self.image), self.instances, FOUND)
        mask = np.where(self.instances > 0, 255, 0).astype(np.uint8)
        return [files.pictures(drawn[None], columns=1), files.pictures(mask[None], columns=1)]


@dataclasses.dataclass(frozen=True)
class InstancePredictor:
    """Finds instances in image files.

    Attributes:
        model: computes logits [batch, height, width, 3] of `data.sets.instances.CLASSES`, of images
            of any size.
        brightest: the largest mean of a training image; brighter ones are answered with a warning.
        options: flags of `dlcore predict`.
    """

    model: Logits
    brightest: float
    options: InstanceOptions = dataclasses.field(default_factory=InstanceOptions)

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[np.ndarray]:
        """Reads image files as grey images of their own sizes.

        Returns:
            uint8 [height, width, 1] of each file.

        Raises:
            UsageError: a file is not an image, or lines of text are given.
        """
        if text:
            raise UsageError("this model reads images: name image files")
        return [np.asarray(image_decoding.upright(f).convert("L"))[..., None] for f in files]

    def item(self, value: object) -> np.ndarray:
        """Converts an image of Pillow, or an array uint8 [height, width] or [height, width, 1].

        Returns:
            uint8 [height, width, 1].

        Raises:
            UsageError: an array of another shape or dtype, or an empty one; or see
                `image_decoding.of_pillow`.
        """
        if isinstance(value, Image.Image):
            value = image_decoding.of_pillow(value).convert("L")
        array = np.asarray(value)
        array = array[..., None] if array.ndim == 2 else array
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 1 or not array.size:
            raise UsageError(
                f"an image here is uint8 [height, width], not {array.dtype} {array.shape}: give"
                " that, Pillow's image or a file"
            )
        return array

    def batch(self, state: State, items: Sequence[np.ndarray]) -> list[Answer]:
        """Answers images with their instances.

        Args:
            state: trained parameters.
            items: images, uint8 [height, width, 1] of any size.

        Returns:
            (what `measured` returns, a `FoundInstances`) of each. "warning" is added where the mean
            of an image is above `brightest`, so that it is probably of another kind.
        """
        return each_once(lambda image: self._answer(state, image), items)

    def _answer(self, state: State, image: np.ndarray) -> Answer:
        height, width = image.shape[:2]
        padded = reflected(image, -(-height // _UNIT) * _UNIT, -(-width // _UNIT) * _UNIT)
        batch = {"image": padded[None], "row": np.zeros(1, np.int32)}
        probability = probabilities(self.model, state, batch)[0, :height, :width]
        found = separated(probability, self.options.smallest)
        answer = measured(found, probability)
        if image.mean() > self.brightest:
            answer["warning"] = (
                f"the image has a mean of {image.mean():.0f}, and no training image more than"
                f" {self.brightest:.0f}: it is of another kind than the network was trained on"
            )
        return answer, FoundInstances("Found", image, found)

    def line(self, answer: Mapping[str, Any]) -> str:
        """Formats an answer: number of instances, their median size, and the warning if any."""
        sizes = [each["pixels"] for each in answer["instances"]]
        middle = f", of {np.median(sizes):.0f} pixels in the median" if sizes else ""
        warning = f" (warning: {answer['warning']})" if "warning" in answer else ""
        return f"{answer['count']} instances{middle}{warning}"


def measured(
    instances: Integer[np.ndarray, "height width"], probability: Float[np.ndarray, "height width 3"]
) -> dict[str, object]:
    """Measures the instances of one image.

    Args:
        instances: the number of each pixel's instance, from 1 on without gaps, int [height, width].
        probability: of background, inside and border, float [height, width, 3].

    Returns:
        {"count", "instances": [{"pixels", "x", "y", "confidence"}, ...], "width", "height"}: the
        number of pixels of an instance, the column and row of its centre (from 0, of its pixels'
        mean), and the mean probability of its pixels of not being background. `count` is of all
        instances; those numbered 1 to 1,000 are listed, in this order. If there are more,
        "instances_left_out" is the number of the others.
    """
    count = int(instances.max())
    sizes = np.bincount(instances.ravel(), minlength=count + 1)
    rows, columns = np.indices(instances.shape)
    sums = [
        np.bincount(instances.ravel(), each.ravel(), minlength=count + 1)
        for each in (columns, rows)
    ]
    confidence = confidences(instances, probability)
    listed = [
        {
            "pixels": int(sizes[n]),
            "x": round(float(sums[0][n] / sizes[n]), 1),
            "y": round(float(sums[1][n] / sizes[n]), 1),
            "confidence": round(float(confidence[n - 1]), 4),
        }
        for n in range(1, min(count, _LISTED) + 1)
    ]
    left_out = {"instances_left_out": count - _LISTED} if count > _LISTED else {}
    return {
        "count": count,
        **left_out,
        "instances": listed,
        "width": instances.shape[1],
        "height": instances.shape[0],
    }


def predictor(model: Logits, facts: Facts, smallest: int) -> InstancePredictor:
    """Returns the predictor of an instance segmentation model.

    Args:
        model: computes logits [batch, height, width, 3] of background, inside and border.
        facts: of the training data; `brightest` is used, see `InstancePredictor`.
        smallest: default of `InstanceOptions.smallest`, in pixels.
    """
    return InstancePredictor(model, facts.brightest, InstanceOptions(smallest))
