"""Summarises a user's images of people: counts by person, sizes, duplicates and faults."""

from __future__ import annotations

import collections
from pathlib import Path

import numpy as np

from dlcore.data.own import image_decoding, people
from dlcore.data.own.found import Found
from dlcore.data.own.summary import SHOWN, Summary, decode_images, duplicates, sizes, thumbnail
from dlcore.errors import UsageError
from dlcore.samples import Images, Sample, Table


def summary(path: Path) -> Summary:
    """Reads all images of people of a path, and summarises them.

    Args:
        path: see `dlcore.data.own.people.load`.

    Returns:
        The summary; images that cannot be decoded and other faults are among its `problems`.

    Raises:
        UsageError: there are no images.
    """
    found = people.find(path)
    if not found.splits["train"]:
        found.refuse()
        raise UsageError(f"{path} holds no images of people")
    measured = decode_images(found)
    examples = found.splits["train"]
    counts = collections.Counter(example.values[1] for example in examples)
    lines = [
        f"images that can be read: {len(examples):,}, of {len(counts):,} people",
        "people are divided into folds: each is held out by one network, which never sees them",
        f"pairs of images of one person: {sum(n * (n - 1) // 2 for n in counts.values()):,}",
    ]
    same = duplicates(
        (("all", e.where, measured.digest[e.where], e.values[1]) for e in examples), "people"
    )
    if not same:
        lines.append("no two of the images are the same")
    rows = tuple((name, counts[name]) for name in sorted(counts))
    return Summary(
        path,
        tuple(lines),
        tuple(dict.fromkeys(found.problems)),
        (
            Table("Images of each person", ("person", "images"), rows),
            sizes({"images of a person": list(counts.values()), **measured.sizes}),
            *same,
        ),
        tuple(_shown(found)),
        f"dlcore train faces_orl --data {path}",
    )


def _shown(found: Found) -> list[Sample]:
    """The first two images of the first people."""
    by_person: dict[str, list[str]] = {}
    for example in found.splits["train"]:
        by_person.setdefault(example.values[1], []).append(example.values[0])
    chosen = [(name, file) for name, each in sorted(by_person.items()) for file in each[:2]]
    if not chosen:
        return []
    pictures = [thumbnail(image_decoding.upright(Path(file))) for _, file in chosen[:SHOWN]]
    names = tuple(name for name, _ in chosen[:SHOWN])
    return [Images("Two of each of the first people", np.stack(pictures), names)]
