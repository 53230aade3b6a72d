"""Images with boxes drawn on them, such as detected objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dlcore.samples.parts import Part
from dlcore.samples.writer import PartWriter

# Okabe and Ito's colours, which colour-blind people tell apart.
COLOURS = {
    "right": (0, 158, 115),
    "wrong": (213, 94, 0),
    "missed": (86, 180, 233),
    "plain": (230, 159, 0),
}
_SMALLEST = 400  # pixels to which the longer side of smaller images is enlarged
_TEXT = 11  # height of the characters in pixels


class Box(NamedTuple):
    """A box to draw.

    Attributes:
        sides: left, top, right, bottom in pixels of the image; right and bottom are exclusive.
        text: written at its upper left corner; "": none.
        kind: "right", "wrong", "missed" (an object without a detection) or "plain" (none of these).
    """

    sides: tuple[float, float, float, float]
    text: str = ""
    kind: Literal["right", "wrong", "missed", "plain"] = "plain"


@dataclass(frozen=True)
class Boxes:
    """Images with boxes: green is right, vermilion wrong, light blue missed, orange plain.

    Attributes:
        title: heading.
        images: uint8 [height, width, 3] each; their sizes may differ.
        boxes: the boxes of each image, drawn in this order.
        captions: none, or one per image.
        right: none, or whether all detections of an image are correct, one per image.
        columns: number of columns of the grid, at most 20; unused where sizes of images differ.
    """

    title: str
    images: Sequence[np.ndarray]
    boxes: Sequence[Sequence[Box]]
    captions: tuple[str, ...] = ()
    right: tuple[bool, ...] = ()
    columns: int = 3

    def parts(self, files: PartWriter) -> list[Part]:
        """Draws the images: one part "pictures" if all have one size, else such a part per image.

        Raises:
            ValueError: an image of another shape or dtype, or `images` and `boxes` differ in
                length; for images of one size also another number of `captions` or of `right`.
        """
        drawn = [draw(image, each) for image, each in zip(self.images, self.boxes, strict=True)]
        if len({image.shape for image in drawn}) == 1:
            return [files.pictures(np.stack(drawn), self.captions, self.right, self.columns)]
        return [
            files.pictures(image[None], self.captions[i : i + 1], self.right[i : i + 1], 1)
            for i, image in enumerate(drawn)
        ]


def draw(image: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
    """Draws boxes with their texts on an image; a small image is enlarged first.

    Args:
        image: uint8 [height, width, 3].
        boxes: to draw, in pixels of the image, the last one on top; their sides are clipped to it.

    Returns:
        uint8 [k height, k width, 3], where k is 400 pixels over the longer side of the image,
        rounded, and at least 1.

    Raises:
        ValueError: an image of another shape or dtype.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(f"an image is uint8 [height, width, 3], not {image.dtype} {image.shape}")
    factor = max(1, round(_SMALLEST / max(image.shape[:2])))
    picture = Image.fromarray(image)
    size = (picture.width * factor, picture.height * factor)
    picture = picture.resize(size, Image.Resampling.BILINEAR)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(_TEXT)
    for box in boxes:
        inside = np.clip(np.multiply(box.sides, factor), 0, [*size, *size])
        left, top, right, bottom = inside.tolist()
        sides = (left, top, max(right - 1, left), max(bottom - 1, top))
        pen.rectangle(sides, outline=COLOURS[box.kind], width=2)
        if text := " ".join(box.text.split()):  # on one line
            at = (min(left + 2, size[0] - pen.textlength(text, font) - 1), max(top - 13, 0))
            pen.rectangle(pen.textbbox(at, text, font), fill=(0, 0, 0))
            pen.text(at, text, fill=COLOURS[box.kind], font=font)
    return np.asarray(picture)
