"""Label maps drawn over images, and a sample of such pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dlcore.samples.parts import Part
from dlcore.samples.writer import PartWriter

_SWATCH = 24  # side in pixels of a square of a class's colour
WRONG = (230, 30, 30)  # the colour of wrong pixels
# colours of the classes, chosen to be distinguishable; from the 21st class on they repeat
PALETTE = np.array(
    [
        *((70, 130, 200), (150, 90, 60), (240, 200, 40), (120, 60, 130), (240, 130, 190)),
        *((60, 150, 60), (220, 50, 50), (180, 180, 120), (30, 60, 160), (250, 130, 30)),
        *((30, 190, 190), (130, 130, 130), (170, 220, 90), (90, 40, 20), (200, 160, 230)),
        *((0, 100, 90), (255, 180, 150), (100, 110, 30), (160, 0, 80), (200, 230, 255)),
    ],
    np.uint8,
)


def overlay(
    image: np.ndarray, labels: np.ndarray, classes: int, strength: float = 0.5
) -> np.ndarray:
    """Colours the pixels of an image by their classes; from the 21st class on colours repeat.

    Args:
        image: uint8 [height, width, 1 or 3].
        labels: integers [height, width]; a pixel whose label is not in [0, classes) keeps its
            colour.
        classes: number of classes.
        strength: opacity of the colours, in [0, 1].

    Returns:
        uint8 [height, width, 3].
    """
    base = np.broadcast_to(image, (*image.shape[:2], 3)).astype(np.float32)
    counted = (labels >= 0) & (labels < classes)
    colours = PALETTE[np.where(counted, labels, 0) % len(PALETTE)]
    mixed = (1 - strength) * base + strength * colours
    return np.where(counted[..., None], np.rint(mixed), base).astype(np.uint8)


def outlined(image: np.ndarray, instances: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Draws the outlines of instances over an image.

    The outline is made of the pixels of an instance of which a neighbour (above, below, left or
    right) has another number.

    Args:
        image: uint8 [height, width, 1 or 3].
        instances: the number of each pixel's instance, integers [height, width]; 0 is background.
        colour: red, green, blue, in 0..255.

    Returns:
        uint8 [height, width, 3].
    """
    base = np.broadcast_to(image, (*image.shape[:2], 3)).copy()
    padded = np.pad(instances, 1, mode="edge")
    centre = padded[1:-1, 1:-1]
    others = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    base[(centre > 0) & np.any([centre != each for each in others], axis=0)] = colour
    return base


@dataclass(frozen=True)
class LabelMaps:
    """Images beside their true and predicted label maps, and the colours of the classes.

    Attributes:
        title: heading.
        images: uint8 [N, height, width, 1 or 3].
        true, predicted: class indices, integers [N, height, width]; a pixel whose `true` is not in
            [0, number of classes) is never wrong.
        classes: names of the classes.
        captions: exactly one per image, shown below its prediction.
    """

    title: str
    images: np.ndarray
    true: np.ndarray
    predicted: np.ndarray
    classes: tuple[str, ...]
    captions: tuple[str, ...]

    def parts(self, files: PartWriter) -> list[Part]:
        """Writes two parts: image, true map, predicted map and wrong pixels of each; the legend."""
        count = len(self.classes)
        shown: list[np.ndarray] = []
        captions: list[str] = []
        rows = zip(self.images, self.true, self.predicted, self.captions, strict=True)
        for image, true, predicted, caption in rows:
            wrong = np.broadcast_to(image // 2, (*image.shape[:2], 3)).copy()
            wrong[(true >= 0) & (true < count) & (true != predicted)] = WRONG
            base = np.broadcast_to(image, wrong.shape)
            shown += [base, overlay(image, true, count), overlay(image, predicted, count), wrong]
            captions += ["image", "true", f"predicted: {caption}", "wrong pixels are red"]
        pictures = files.pictures(np.stack(shown), captions, columns=4)
        return [pictures, legend(files, self.classes)]


@dataclass(frozen=True)
class PredictedMap:
    """The predicted label map of one image.

    Attributes:
        title: heading.
        image: uint8 [height, width, 1 or 3].
        labels: class indices, uint8 [height, width].
        classes: names of the classes.
        strength: opacity of the colours, in [0, 1].
    """

    title: str
    image: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    strength: float = 0.5

    def parts(self, files: PartWriter) -> list[Part]:
        """Writes the coloured image, and a grey picture whose pixel values are class indices."""
        drawn = overlay(self.image, self.labels, len(self.classes), self.strength)
        values = ("the value of a pixel is its class",)
        return [
            files.pictures(drawn[None], columns=1),
            files.pictures(self.labels[None], values, columns=1),
        ]


def legend(files: PartWriter, classes: Sequence[str]) -> Part:
    """Writes a square of each class's colour with its name, as one part "pictures"."""
    numbers = np.arange(len(classes)) % len(PALETTE)
    squares = np.broadcast_to(PALETTE[numbers, None, None], (len(classes), _SWATCH, _SWATCH, 3))
    return files.pictures(squares, tuple(classes), columns=min(20, len(classes)))
