"""Summarises a user's recorded drive: frames and steering by section of time, and faults."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dlcore.data.own import drive, image_decoding
from dlcore.data.own.found import Example, Found
from dlcore.data.own.summary import Summary, decode_images, duplicates, sizes, thumbnail
from dlcore.samples import Images, Plot, Sample, Series, Table, evenly

_SHOWN = 10  # frames to look at, evenly over the drive


def summary(path: Path) -> Summary:
    """Reads all frames of a drive and their steering, and summarises them.

    Args:
        path: see `dlcore.data.own.drive.load`.

    Raises:
        UsageError: no table, one without the columns, or one without a valid row.
    """
    found = drive.find(path)
    every = found.splits["train"]
    if not every:
        found.refuse()
    for split, (start, stop) in drive.PARTS.items():
        found.splits[split] = every[round(start * len(every)) : round(stop * len(every))]
    measured = decode_images(found)
    readable = [example for _, example in found.items()]
    lines = [
        f"frames that can be read: {len(readable):,}",
        "sections of the time: the first 70 % for training, 10 % for validation, 20 % for test",
    ]
    same = duplicates((split, e.where, measured.digest[e.where], "") for split, e in found.items())
    lines.append(
        "frames that are the same follow each other where the car stands"
        if same
        else "no two of the frames are the same"
    )
    return Summary(
        path,
        tuple(lines),
        tuple(dict.fromkeys(found.problems)),
        (_steering(found), sizes(measured.sizes), *same),
        tuple(_shown(readable)),
        f"dlcore train driving_udacity --data {path}",
    )


def _steering(found: Found) -> Table:
    """Frames of each section, and its steering."""
    rows: list[tuple[str | float, ...]] = []
    for split, examples in found.splits.items():
        if not examples:
            rows.append((split, 0, "", "", "", ""))
            continue
        steering = drive.steering_of(examples).astype(np.float64)
        straight = round(float((steering == 0).mean()), 4)
        each = (round(float(f(steering)), 4) for f in (np.min, np.mean, np.max))
        rows.append((split, len(examples), *each, straight))
    head = ("section", "frames", "minimum", "mean", "maximum", "fraction at 0")
    return Table("Steering", head, tuple(rows))


def _shown(examples: Sequence[Example]) -> list[Sample]:
    """The steering over time, and frames evenly over the drive."""
    if not examples:
        return []
    steering = drive.steering_of(examples)
    frames, label = evenly(len(steering), "frame")
    index = np.unique(np.linspace(0, len(steering) - 1, _SHOWN).astype(int))
    pictures = [thumbnail(image_decoding.upright(Path(examples[i].values[0]))) for i in index]
    captions = tuple(f"{steering[i]:+.3f}" for i in index)
    line = (Series("person", frames, steering[frames].astype(float)),)
    return [
        Plot("Steering over time", label, "steering", line),
        Images("Frames evenly over the drive, and their steering", np.stack(pictures), captions),
    ]
