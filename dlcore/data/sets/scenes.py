"""Synthetic scenes: handwritten digits on a canvas, with their exact boxes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

from dlcore.data.own.annotated import row
from dlcore.data.sets import embedded
from dlcore.data.source import Arrays, arrays

EXAMPLES = {"train": 600, "validation": 120, "test": 120}
_VERSION = "1"
_INK = 40  # of 255, from which a pixel belongs to a digit
_TRIES = 20  # places at which a digit is tried before it is left out
_APART = 0.05  # largest IoU of two digits


def digit_scenes(split: str, canvas: tuple[int, int], most: int, padded: int) -> Arrays:
    """Draws scenes of coloured digits on a noisy background; digits of one split are in no other.

    The digits are scikit-learn's at 28x28, drawn with heights of a fifth to two fifths of the
    canvas's shorter side. The scenes are the same on every machine.

    Args:
        split: "train", "validation" or "test", see `EXAMPLES`.
        canvas: width and height in pixels.
        most: largest number of digits in a scene; the smallest is 1. A digit for which no free
            place is found is left out.
        padded: boxes to which each example is padded, at least `most`.

    Returns:
        The fields of `dlcore.data.sets.detection.load`; classes are the digits.
    """
    source = embedded.digits28(split)
    # RandomState: NumPy froze its stream for good, which it does not promise for default_rng.
    random = np.random.RandomState(list(EXAMPLES).index(split))
    rows = [_scene(source, random, canvas, most, padded) for _ in range(EXAMPLES[split])]
    contents = {name: np.stack([each[name] for each in rows]) for name in rows[0]}
    return arrays("digit_scenes", _VERSION, split, contents)


def _scene(
    source: Arrays, random: np.random.RandomState, canvas: tuple[int, int], most: int, padded: int
) -> dict[str, np.ndarray]:
    width, height = canvas
    pixels = random.randint(0, 80, (height, width, 3))
    boxes: list[tuple[int, int, int, int]] = []
    labels: list[int] = []
    for _ in range(int(random.randint(1, most + 1))):
        index = int(random.randint(len(source)))
        shade = _digit(source.arrays["image"][index, :, :, 0], random, min(canvas))
        box = next(_places(shade.shape, random, canvas, boxes), None)
        colour = random.randint(140, 256, 3)
        if box is None:
            continue
        left, top, right, bottom = box
        within = pixels[top:bottom, left:right]
        pixels[top:bottom, left:right] = (
            within * (255 - shade[..., None]) + colour * shade[..., None]
        ) // 255
        boxes.append(box)
        labels.append(int(source.arrays["label"][index]))
    image = pixels.astype(np.uint8)
    return row(image, 1.0, canvas, boxes, labels, padded)


def _digit(image: np.ndarray, random: np.random.RandomState, side: int) -> np.ndarray:
    """A digit without its margins, of a random size, int [height, width]."""
    height = int(random.randint(side // 5, 2 * side // 5 + 1))
    size = (height * image.shape[1] // image.shape[0], height)
    scaled = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
    shade = np.asarray(scaled).astype(int)
    inked = [np.flatnonzero((shade > _INK).any(axis)) for axis in (1, 0)]
    return shade[inked[0][0] : inked[0][-1] + 1, inked[1][0] : inked[1][-1] + 1]


def _places(
    shape: tuple[int, ...],
    random: np.random.RandomState,
    canvas: tuple[int, int],
    boxes: list[tuple[int, int, int, int]],
) -> Iterator[tuple[int, int, int, int]]:
    """Boxes of a digit of that shape which barely overlap the others."""
    height, width = shape
    for _ in range(_TRIES):
        left = int(random.randint(canvas[0] - width + 1))
        top = int(random.randint(canvas[1] - height + 1))
        box = (left, top, left + width, top + height)
        if all(_overlap(box, other) <= _APART for other in boxes):
            yield box


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> float:
    """Intersection over union."""
    across, down = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    both = max(across, 0) * max(down, 0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return both / (areas - both)
