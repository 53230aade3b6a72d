"""A user's images with label maps: a folder of images, and a folder of masks of the same names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from dlcore.data.own import files, image_cache, image_decoding, images
from dlcore.data.own.found import Example, Found
from dlcore.errors import UsageError

NAMES = "classes.txt"
MOST = 64  # classes that need no names
IGNORED = 255  # the value of a pixel that counts for no class
_LAYOUT = (
    "a folder has images/ and masks/ with files of the same names, or folders train, validation and"
    " test with these in them"
)


@dataclasses.dataclass(frozen=True)
class Labelled:
    """Images and their masks by split.

    Attributes:
        name: of the folder.
        found: examples with `values` (image file, mask file).
        classes: names of the classes, by their value in masks; () without classes.txt.
    """

    name: str
    found: Found
    classes: tuple[str, ...]

    def pairs(self, split: str) -> list[tuple[Path, Path]]:
        """Returns (image file, mask file) of each example of a split."""
        return [(Path(a), Path(b)) for a, b in (e.values for e in self.found.splits[split])]


def find(path: Path) -> Labelled:
    """Finds the images and masks of a folder; cuts missing validation and test splits from train.

    Args:
        path: a folder with images/ and masks/, or with folders train, validation and test that have
            these; and optionally classes.txt with the name of one class a line, that of value 0
            first. A mask has the name of its image; their suffixes may differ.

    Raises:
        UsageError: another layout, an image without a mask or the reverse, two files that differ in
            their suffixes alone, a split that the hash leaves empty, or a classes.txt that is not
            UTF-8 or has a name that is empty or occurs twice.
    """
    found = Found(path)
    if not path.is_dir():
        raise UsageError(f"{path} is no folder: {_LAYOUT}")
    folders = files.split_folders(path) if files.train_folder(path) else {"train": path}
    for split, folder in folders.items():
        found.splits[split] = _pairs(folder, found.problems)
    found.refuse()
    found.divide(lambda train: image_cache.digests([Path(example.values[0]) for example in train]))
    found.refuse()
    names = path / NAMES
    classes = [line.strip() for line in files.lines(names)] if names.is_file() else []
    if twice := [name for name in classes if not name or classes.count(name) > 1]:
        raise UsageError(f"{names}: {twice[0]!r} is empty or occurs twice: name each class once")
    return Labelled(path.resolve().name, found, tuple(classes))


def _pairs(folder: Path, problems: list[str]) -> list[Example]:
    sides = []
    for name in ("images", "masks"):
        if not (folder / name).is_dir():
            problems.append(f"{folder} has no folder {name}: {_LAYOUT}")
            return []
        inside = files.visible(folder / name)
        for file in (each for each in inside if each.is_dir()):
            problems.append(
                f"{file} is a folder in {name}, whose files are not read: move them into"
                f" {folder / name}"
            )
        there = [f for f in inside if f.suffix.lower() in images.SUFFIXES and not f.is_dir()]
        side: dict[str, Path] = {}
        for file in there:
            if (first := side.setdefault(file.stem, file)) is not file:
                problems.append(f"{first} and {file.name} have one name: rename or remove one")
        sides.append(side)
    pictures, masks = sides
    for stem in sorted(pictures.keys() - masks.keys()):
        problems.append(f"{pictures[stem]} has no mask in {folder / 'masks'}: add {stem}.png")
    for stem in sorted(masks.keys() - pictures.keys()):
        problems.append(f"{masks[stem]} has no image in {folder / 'images'}: add it, or remove it")
    if not pictures:
        problems.append(f"{folder / 'images'} holds no images: {_LAYOUT}")
    both = sorted(pictures.keys() & masks.keys())
    return [Example(str(pictures[s]), (str(pictures[s]), str(masks[s]))) for s in both]


def read(image: Path, mask: Path) -> tuple[Image.Image, np.ndarray]:
    """Reads an image and its mask.

    Args:
        image: a file.
        mask: a grey or palette image of one number per pixel.

    Returns:
        The image, rotated as its EXIF data say; and its mask, not rotated, int32 [height, width],
        with 0 and 1 where the file has one bit per pixel.

    Raises:
        UsageError: one cannot be read, or the mask has colours, is a JPEG, or has another size than
            the image.
    """
    picture = image_decoding.upright(image)
    try:
        with Image.open(mask) as opened:
            mode, form = opened.mode, opened.format
            numbers = np.asarray(opened.convert("L") if mode == "1" else opened)
    # decoders raise anything: OSError, SyntaxError, struct.error, DecompressionBombError
    except Exception as error:
        raise UsageError(f"{mask} cannot be read as a mask ({error}): mend or remove it") from error
    if numbers.ndim != 2 or numbers.dtype.kind not in "uib":
        what = {"LA": "transparency", "PA": "transparency", "F": "fractions"}.get(mode, "colours")
        raise UsageError(
            f"{mask} has {what} ({mode}): a mask has one whole number per pixel, so save it as a"
            " grey or palette PNG"
        )
    if form == "JPEG":
        raise UsageError(
            f"{mask} is a JPEG, which changes the numbers of pixels: export the mask as PNG (a JPEG"
            " that is converted keeps wrong numbers)"
        )
    if numbers.shape != picture.size[::-1]:
        width, height = picture.size
        raise UsageError(
            f"{mask} is {numbers.shape[1]} x {numbers.shape[0]} pixels and its image {image.name}"
            f" {width} x {height}: a mask has the size of its image"
        )
    return picture, (numbers > 0 if mode == "1" else numbers).astype(np.int32)


def classes_of(labelled: Labelled, values: Mapping[str, Sequence[np.ndarray]]) -> list[str]:
    """Checks the values in the masks, and returns the names of the classes.

    Args:
        labelled: what the folder has.
        values: {split: the distinct values of each mask, in the order of `pairs`}.

    Returns:
        The names of classes.txt; without it the numbers, as text, from 0 to the largest value in
        train. The value `IGNORED` counts for no class.

    Raises:
        UsageError: in any split a value without a name, or ignored pixels alone; a class that no
            mask of train has; one class only; or more than `MOST` classes without names.
    """
    train = {int(v) for each in values["train"] for v in each} - {IGNORED}
    names = list(labelled.classes) or [str(n) for n in range(max(train, default=0) + 1)]
    listed = f"{labelled.found.path / NAMES} names {len(names)} classes, 0 to {len(names) - 1}"
    if not labelled.classes:
        _refuse_smooth(labelled, values["train"], len(names))
        listed = f"the masks of train have classes up to {len(names) - 1}"
    for split, each in values.items():
        for (_, mask), found in zip(labelled.pairs(split), each, strict=True):
            for value in found:
                if value != IGNORED and not 0 <= value < len(names):
                    raise UsageError(
                        f"{mask} has pixels of value {value}, and {listed}: name it there, or give"
                        f" these pixels {IGNORED}, which is ignored"
                    )
        if not any(value != IGNORED for found in each for value in found):
            raise UsageError(
                f"all pixels of {split} have the value {IGNORED}, which is ignored: label some, or"
                " give other images"
            )
    ignored = any(IGNORED in each for each in values["train"])
    note = f" (the value {IGNORED} is ignored: classes are numbered from 0)" if ignored else ""
    if missing := [name for n, name in enumerate(names) if n not in train]:
        raise UsageError(
            f"no mask of train has pixels of class {missing[0]!r} ({names.index(missing[0])}): add"
            f" examples of it, or number the classes without it{note}"
        )
    if len(names) < 2:
        raise UsageError(
            f"{labelled.found.path}: all pixels have one class, and two are needed{note}"
        )
    return names


def _refuse_smooth(labelled: Labelled, values: Sequence[np.ndarray], classes: int) -> None:
    """Refuses many classes without names: edges that were smoothed have every value between two."""
    if classes > MOST:
        largest = int(np.argmax([len(each) for each in values]))
        raise UsageError(
            f"{labelled.pairs('train')[largest][1]} has {len(values[largest])} different values,"
            f" and the masks of train {classes} classes: its edges look antialiased; save masks"
            " without smoothing or resizing, or, if these are classes, name them in"
            f" {labelled.found.path / NAMES}"
        )
