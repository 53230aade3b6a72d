"""A user's images with boxes, as COCO files and YOLO folders give them: checks and arrays."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from dlcore.data.own import image_cache, image_decoding
from dlcore.data.own.found import SPLITS
from dlcore.data.split import by_hash
from dlcore.errors import UsageError

# Other names that the field uses for splits.
ALIASES = {
    "train": ("train",),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test",),
}
TOLERANCE = 1.0  # pixels by which a box may reach outside its image, which rounding explains
GREY = 127  # of a canvas
_LISTED = 10  # problems that a message names


@dataclasses.dataclass(frozen=True)
class Labelled:
    """A box of a class.

    Attributes:
        where: its file and its line or id, for messages.
        box: [left, top, right, bottom] in pixels of the image, or, where `relative`, as fractions
            of its width and height.
        label: index of its class.
        relative: whether `box` is given as fractions.
    """

    where: str
    box: tuple[float, float, float, float]
    label: int
    relative: bool = False


@dataclasses.dataclass(frozen=True)
class Picture:
    """An image with its boxes.

    Attributes:
        where: what names it in messages.
        file: the image.
        boxes: of its objects.
        size: width and height that its description gives; None: it gives none.
    """

    where: str
    file: Path
    boxes: tuple[Labelled, ...]
    size: tuple[int, int] | None = None


@dataclasses.dataclass
class Annotated:
    """Images with boxes, by split.

    Attributes:
        path: the file or folder that was read.
        classes: names of the classes.
        splits: {split: its images}.
        problems: everything that is wrong, one sentence each.
        crowds: number of boxes around crowds, which are left out (COCO's `iscrowd`).
        by_hash: splits that `divide` cut from train by the hash of the images' files.
        label_paths: {split: the file or folder in which its boxes are looked for}.
    """

    path: Path
    classes: list[str] = dataclasses.field(default_factory=list)
    splits: dict[str, list[Picture]] = dataclasses.field(default_factory=dict)
    problems: list[str] = dataclasses.field(default_factory=list)
    crowds: int = 0
    by_hash: tuple[str, ...] = ()
    label_paths: dict[str, Path] = dataclasses.field(default_factory=dict)

    def refuse(self) -> None:
        """Raises UsageError with the problems, at most the first ten, if there are any."""
        if self.problems:
            more = len(self.problems) - _LISTED
            rest = [f"and {more} more"] if more > 0 else []
            raise UsageError("\n".join([*self.problems[:_LISTED], *rest]))

    def divide(self) -> None:
        """Moves about a tenth of train into each missing split, by the SHA-256 of the image files.

        The missing ones of validation and test are made; if none is missing, or train is empty,
        nothing changes. A split that gets no image, train included, becomes a problem.

        Raises:
            UsageError: a file that cannot be read.
        """
        missing = tuple(split for split in SPLITS[1:] if split not in self.splits)
        pictures = self.splits.get("train", [])
        if not missing or not pictures:
            return
        share = {split: 0.1 if split in missing else 0.0 for split in SPLITS[1:]}
        parts = by_hash(image_cache.digests([picture.file for picture in pictures]), **share)
        for split in ("train", *missing):
            self.splits[split] = [pictures[i] for i in parts[split]]
            if not self.splits[split]:
                self.problems.append(
                    f"{self.path}: of its {len(pictures)} images the hash puts none into {split}:"
                    " add images, or give the splits train, validation and test yourself"
                )
        self.by_hash = missing

    def _refuse_shared(self) -> None:
        """Adds a problem for each pair of splits with a file in common."""
        files = {
            split: {picture.file.resolve() for picture in pictures}
            for split, pictures in self.splits.items()
        }
        for one, other in itertools.combinations(files, 2):
            if both := sorted(files[one] & files[other]):
                self.problems.append(
                    f"{self.path}: {len(both)} files are in {one} and in {other}, such as"
                    f" {both[0]}: what is measured there would be what was trained on; give each"
                    " split files of its own, or leave a split out (a tenth of train takes its"
                    " place)"
                )

    def check(self, most: int) -> None:
        """Adds a problem for each class without a box in train, and each image with too many boxes.

        A train split without images is a problem too, another split without any box, and a file
        that is in two splits.

        Args:
            most: largest number of boxes of an image.
        """
        if not self.splits.get("train"):
            self.problems.append(f"{self.path} has no images for train: add some")
            return
        self._refuse_shared()
        seen = {each.label for picture in self.splits["train"] for each in picture.boxes}
        cut = f" ({' and '.join(self.by_hash)} are cut from it by hash)" if self.by_hash else ""
        for label, name in enumerate(self.classes):
            if label not in seen:
                self.problems.append(
                    f"{self.path}: the class {name!r} has no box in train{cut}: add some, or remove"
                    " the class"
                )
        for split, pictures in self.splits.items():
            if split != "train" and not any(picture.boxes for picture in pictures):
                by_hash = split in self.by_hash  # there is no folder of this split then
                origin = "cut from train by hash" if by_hash else self.label_paths.get(split, "")
                self.problems.append(
                    f"{self.path}: no image of {split} has a box ({origin}), so that nothing can be"
                    f" measured: add {'images with ' if by_hash else ''}boxes"
                )
            for picture in pictures:
                if (count := len(picture.boxes)) > most:
                    self.problems.append(
                        f"{picture.where} has {count} boxes, more than --max-boxes {most}: give"
                        f" --max-boxes {count}"
                    )


def fitted(image: Image.Image, canvas: tuple[int, int]) -> tuple[np.ndarray, float]:
    """Enlarges or reduces an image to fit a canvas, upper left, with its aspect ratio kept.

    Args:
        image: Pillow's.
        canvas: width and height in pixels.

    Returns:
        The canvas, uint8 [height, width, 3], grey where the image does not cover it; and the scale:
        pixels of the canvas per pixel of the image.
    """
    scale = min(canvas[0] / image.width, canvas[1] / image.height)
    size = tuple(max(1, round(side * scale)) for side in image.size)
    resized = image.convert("RGB").resize((size[0], size[1]), Image.Resampling.BILINEAR)
    result = np.full((canvas[1], canvas[0], 3), GREY, np.uint8)
    result[: size[1], : size[0]] = np.asarray(resized)
    return result, scale


def example(
    picture: Picture, canvas: tuple[int, int], most: int, problems: list[str]
) -> dict[str, np.ndarray]:
    """Decodes an image, scales it onto a canvas (`fitted`), and returns it with its boxes.

    Boxes that reach at most `TOLERANCE` pixels outside the image are clipped to it.

    Args:
        picture: the image, with at most `most` boxes.
        canvas: width and height in pixels.
        most: number of boxes to which `boxes` and `label` are padded with zeros.
        problems: messages are appended to it: for a file that cannot be read (its pixels are zeros,
            and it has no boxes), for an image of another size than `picture.size`, and for each box
            without area, without a pixel inside or further outside the image, which is left out.

    Returns:
        `image` uint8 [height, width, 3], `boxes` float32 [most, 4] in pixels of the canvas, `label`
        int32 [most], `count`, `scale` and `extent`, as of `row`.
    """
    try:
        image = image_decoding.upright(picture.file)
    except UsageError as error:
        problems.append(f"{picture.where}: {error}")
        return row(np.zeros((canvas[1], canvas[0], 3), np.uint8), 1.0, canvas, [], [], most)
    if picture.size is not None and picture.size != image.size:
        stated, found = ("x".join(map(str, size)) for size in (picture.size, image.size))
        problems.append(f"{picture.where}: {picture.file} is {found} pixels, not {stated}: mend it")
    pixels, scale = fitted(image, canvas)
    inside = [(_inside(each, image.size, problems), each.label) for each in picture.boxes]
    kept = [(box, label) for box, label in inside if box is not None]
    boxes, labels = [box for box, _ in kept], [label for _, label in kept]
    return row(pixels, scale, image.size, boxes, labels, most)


def row(
    pixels: np.ndarray,
    scale: float,
    size: tuple[int, int],
    boxes: Sequence[Sequence[float]],
    labels: Sequence[int],
    most: int,
) -> dict[str, np.ndarray]:
    """Returns the arrays of one example, see `dlcore.data.sets.detection.load`.

    Args:
        pixels: the canvas, uint8 [height, width, 3].
        scale: pixels of the canvas per pixel of the image.
        size: width and height of the image.
        boxes: left, top, right, bottom in pixels of the image; at most `most`.
        labels: classes of the boxes.
        most: number of boxes to which `boxes` and `label` are padded with zeros.

    Returns:
        `image`, the canvas; `boxes` float32 [most, 4] in pixels of the canvas, and `label` int32
        [most], both zeros after the first `count`, int32 []; `scale` float32 []; and `extent`
        float32 [2], width and height of the image on the canvas.
    """
    padded, label = np.zeros((most, 4), np.float32), np.zeros(most, np.int32)
    if boxes:
        padded[: len(boxes)] = np.asarray(boxes, np.float64) * scale
        label[: len(boxes)] = labels
    return {
        "image": pixels,
        "boxes": padded,
        "label": label,
        "count": np.asarray(len(boxes), np.int32),
        "scale": np.asarray(scale, np.float32),
        "extent": np.asarray([side * scale for side in size], np.float32),
    }


def _inside(
    each: Labelled, size: tuple[int, int], problems: list[str]
) -> tuple[float, float, float, float] | None:
    """The box in pixels, clipped to its image; None, with a problem, for one that is wrong."""
    around = (*size, *size) if each.relative else (1, 1, 1, 1)
    sides = [side * by for side, by in zip(each.box, around, strict=True)]
    left, top, right, bottom = sides
    if not (right > left and bottom > top):
        problems.append(f"{each.where}: the box {_numbers(sides)} has no area: mend or remove it")
        return None
    width, height = size
    out = max(-left, -top, right - width, bottom - height)
    if not out <= TOLERANCE:
        problems.append(
            f"{each.where}: the box {_numbers(sides)} reaches {out:.4g} pixels outside its image"
            f" of {width}x{height}: mend or remove it"
        )
        return None
    clipped = max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
    if not (clipped[2] > clipped[0] and clipped[3] > clipped[1]):
        problems.append(
            f"{each.where}: the box {_numbers(sides)} lies outside its image of {width}x{height}:"
            " mend or remove it"
        )
        return None
    return clipped


def _numbers(values: Sequence[float]) -> str:
    return f"[{', '.join(f'{value:.6g}' for value in values)}]"


def key(pictures: Sequence[Picture], *more: object) -> str:
    """Computes the key of a cache entry: a hash of image files and boxes, 32 hexadecimal digits.

    Args:
        pictures: of each the path, size and time of change of the file, and the boxes are hashed.
        more: what else the entry depends on, plain JSON.
    """
    stats = [(picture.file.resolve(), picture.file.stat()) for picture in pictures]
    listed = [(str(path), stat.st_size, stat.st_mtime_ns) for path, stat in stats]
    boxes = [[(*each.box, each.label) for each in picture.boxes] for picture in pictures]
    return hashlib.sha256(json.dumps([listed, boxes, more]).encode()).hexdigest()[:32]
