"""Summarises a user's images with boxes: counts by class and split, sizes, duplicates, faults."""

from __future__ import annotations

import collections
import hashlib
from pathlib import Path

import numpy as np

from dlcore.data.own import annotated, coco, coco_files, yolo
from dlcore.data.own.annotated import Annotated
from dlcore.data.own.found import SPLITS
from dlcore.data.own.summary import SHOWN, Summary, duplicates, whole
from dlcore.errors import UsageError
from dlcore.samples import Table
from dlcore.samples.boxes import Box, Boxes

_CANVAS = (240, 240)  # pixels of a picture that is shown


def read(path: Path) -> Annotated:
    """Reads a COCO file or folder, or a YOLO folder.

    Args:
        path: see `dlcore.data.own.coco.find` and `dlcore.data.own.yolo.find`; a folder with a YAML
            file is YOLO's, even if it has JSON files too.

    Returns:
        The images by split, with what is wrong in `problems`; no file of an image is opened.

    Raises:
        UsageError: the path does not exist or holds neither, or as of the two functions `find`.
    """
    if not path.exists():
        raise UsageError(f"{path}: there is no such file or folder")
    if yolo.description(path) is not None:
        return yolo.find(path)
    if coco_files.is_coco(path):
        return coco.find(path)
    raise UsageError(
        f"{path} holds neither a COCO file (.json) nor a YOLO folder (data.yaml): name one of them"
    )


def summary(path: Path) -> Summary:
    """Reads all images and boxes of a path, and summarises them.

    Args:
        path: see `read`.

    Returns:
        The summary; faults of images and boxes are in its `problems`.

    Raises:
        UsageError: as `read`.
    """
    found = read(path)
    most = max((len(p.boxes) for each in found.splits.values() for p in each), default=1)
    problems = found.problems
    if not problems:
        found.check(most)
    examples: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    sizes: list[np.ndarray] = []
    contents: list[tuple[str, str, str, str]] = []
    for split, pictures in found.splits.items():
        for picture in pictures:
            before = len(problems)
            arrays = annotated.example(picture, _CANVAS, most, problems)
            if len(problems) > before:
                continue
            digest = hashlib.sha256(picture.file.read_bytes()).hexdigest()
            contents.append((split, picture.where, digest, ""))
            boxes = arrays["boxes"][: arrays["count"]]
            sizes += list((boxes[:, 2:] - boxes[:, :2]) / arrays["scale"])
            if len(examples) < SHOWN and split == "train":
                examples.append((arrays["image"], boxes, arrays["label"]))
    if not problems:
        found.divide()
    if not problems:  # train may have lost a class to the splits that were cut from it
        found.check(most)
    lines = [f"images: {sum(map(len, found.splits.values())):,}, most boxes in one: {most}"]
    if found.by_hash:
        lines.append(f"cut from train by the hash of the files: {' and '.join(found.by_hash)}")
    if found.crowds:
        lines.append(f"boxes of crowds that are left out: {found.crowds:,}")
    tables = [_counts(found), *_sizes(np.array(sizes)), *duplicates(contents)]
    shown = Boxes(
        "Some images",
        [image for image, _, _ in examples],
        [
            [Box(tuple(box), found.classes[k]) for box, k in zip(boxes, label, strict=False)]
            for _, boxes, label in examples
        ],
    )
    command = f"dlcore train detection_bccd --data {path} --max-boxes {max(32, most)}"
    faults = tuple(dict.fromkeys(problems))
    return Summary(path, tuple(lines), faults, tuple(tables), (shown,) if examples else (), command)


def _counts(found: Annotated) -> Table:
    """Boxes by class and split, and images by split."""
    splits = [split for split in SPLITS if split in found.splits]
    counted = {
        split: collections.Counter(b.label for p in found.splits[split] for b in p.boxes)
        for split in splits
    }
    rows: list[tuple[str | float, ...]] = [
        (name, *(counted[split][k] for split in splits)) for k, name in enumerate(found.classes)
    ]
    rows.append(("images", *(len(found.splits[split]) for split in splits)))
    return Table("Boxes", ("class", *splits), tuple(rows))


def _sizes(sizes: np.ndarray) -> list[Table]:
    """Widths and heights of the boxes in pixels of their images."""
    if not len(sizes):
        return []
    rows: tuple[tuple[str | float, ...], ...] = tuple(
        (name, *(round(whole(each(sizes[:, i])), 1) for each in (np.min, np.median, np.max)))
        for i, name in enumerate(("width", "height"))
    )
    return [Table("Sizes of the boxes", ("", "minimum", "median", "maximum"), rows)]
