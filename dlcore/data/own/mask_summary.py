"""Summarises a user's images with masks: sizes, classes, duplicates and faults."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dlcore.data.own import masks
from dlcore.data.own.masks import Labelled
from dlcore.data.own.summary import Summary, duplicates, sizes
from dlcore.errors import UsageError
from dlcore.samples import Sample, Table
from dlcore.samples.overlay import PredictedMap

_SHOWN = 4  # examples to look at
_NUMBERED = " (of masks that number instances this is no fault: dlcore train segmentation_nuclei)"


def summary(path: Path) -> Summary:
    """Reads all images and masks of a folder, and summarises them.

    Args:
        path: see `dlcore.data.own.masks.find`.

    Returns:
        The summary; files that cannot be read and faults of the classes are among its `problems`.

    Raises:
        UsageError: as `dlcore.data.own.masks.find`.
    """
    labelled = masks.find(path)
    problems: list[str] = []
    values: dict[str, Sequence[np.ndarray]] = {}
    measured: list[tuple[int, int]] = []
    counts = np.zeros(masks.IGNORED + 1, np.int64)
    for split in labelled.found.splits:
        distinct = []
        for image, mask in labelled.pairs(split):
            try:
                picture, numbers = masks.read(image, mask)
            except UsageError as error:
                problems.append(str(error))
                numbers = np.full((1, 1), masks.IGNORED)
            else:
                measured.append(picture.size)
            distinct.append(np.unique(numbers))
            inside = numbers[(numbers >= 0) & (numbers <= masks.IGNORED)]
            counts += np.bincount(inside, minlength=len(counts))
        values[split] = distinct
    names = list(labelled.classes)
    if not problems:
        try:
            names = masks.classes_of(labelled, values)
        except UsageError as error:
            problems.append(f"{error}{'' if labelled.classes else _NUMBERED}")
    cut = labelled.found.by_hash
    lines = [f"images with masks that can be read: {len(measured):,}"]
    if cut:
        lines.append(f"cut from train by the hash of the content: {' and '.join(cut)}")
    same = _duplicates(labelled)
    if not same:
        lines.append("no two of the images are the same")
    splits = [(split, len(examples)) for split, examples in labelled.found.splits.items()]
    tables = [
        Table("Examples", ("split", "images"), tuple(splits)),
        sizes(
            {
                "height": [height for _, height in measured],
                "width": [width for width, _ in measured],
            }
        ),
        _classes(names, counts),
        *same,
    ]
    return Summary(
        path,
        tuple(lines),
        tuple(dict.fromkeys(problems)),
        tuple(tables),
        () if problems else tuple(_shown(labelled, names)),
        f"dlcore train segmentation_camvid --data {path}",
    )


def _classes(names: Sequence[str], counts: np.ndarray) -> Table:
    """The pixels of each value that occurs or has a name."""
    rows = []
    for value, count in enumerate(counts):
        name = names[value] if value < len(names) else ""
        if count or name:
            label = "ignored" if value == masks.IGNORED and not name else name
            rows.append((value, label, round(float(count / max(1, counts.sum())), 4)))
    return Table("Classes", ("value", "class", "fraction of pixels"), tuple(rows))


def _duplicates(labelled: Labelled) -> list[Table]:
    return duplicates(
        (split, str(image), hashlib.sha256(image.read_bytes()).hexdigest(), "")
        for split in labelled.found.splits
        for image, _ in labelled.pairs(split)
    )


def _shown(labelled: Labelled, names: Sequence[str]) -> list[Sample]:
    shown: list[Sample] = []
    for image, mask in labelled.pairs("train")[:_SHOWN]:
        picture, numbers = masks.read(image, mask)
        labels = np.clip(numbers, 0, masks.IGNORED).astype(np.uint8)
        pixels = np.asarray(picture.convert("RGB"))
        shown.append(PredictedMap(f"Train: {image.name}", pixels, labels, tuple(names)))
    return shown
