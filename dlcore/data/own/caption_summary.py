"""Summarises a user's pictures with captions: counts, sizes, words, duplicates and faults."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dlcore.data.own import captions, image_decoding
from dlcore.data.own.found import SPLITS, Example, Found
from dlcore.data.own.summary import (
    SHOWN,
    Summary,
    decode_images,
    duplicates,
    short,
    sizes,
    thumbnail,
)
from dlcore.errors import UsageError
from dlcore.samples import Images, Sample, Table

_COLUMNS = 5  # of the pictures that are shown, under which their captions stand


def summary(path: Path) -> Summary:
    """Reads all pictures and captions of a path, and summarises them.

    Args:
        path: see `dlcore.data.own.captions.find`.

    Returns:
        The summary; faults of single files and rows are in its `problems`.

    Raises:
        UsageError: no row has a picture that exists and a caption.
    """
    found = captions.find(path)
    if not any(found.splits.values()):
        found.refuse()
        raise UsageError(f"{path} holds no pictures with captions")
    measured = decode_images(found)
    found.divide(lambda train: [measured.digest[example.where] for example in train])
    every = [example for _, example in found.items()]
    lines = [f"pictures with captions that can be read: {len(every):,}"]
    if found.by_hash:
        lines.append(f"cut from train by the hash of the pictures: {' and '.join(found.by_hash)}")
    lines += _unknown_words(found)
    same = duplicates(
        (
            (split, e.where, measured.digest[e.where], short(e.values[1]))
            for split, e in found.items()
        ),
        "captions",
    )
    if not same:
        lines.append("no two of the pictures are the same")
    words = [len(captions.words(example.values[1])) for example in every]
    return Summary(
        path,
        tuple(lines),
        tuple(dict.fromkeys(found.problems)),
        (_counts(found), sizes({**measured.sizes, "words of a caption": words}), *same),
        tuple(_shown(found.splits.get("train", ()))),
        f"dlcore train captioning_emoji --data {path}",
    )


def _vocabulary(examples: Sequence[Example]) -> collections.Counter[str]:
    return collections.Counter(w for each in examples for w in captions.words(each.values[1]))


def _unknown_words(found: Found) -> list[str]:
    """How many words of the other splits training lacks: a model cannot write these."""
    known = _vocabulary(found.splits.get("train", ()))
    lines = [f"different words in train: {len(known):,}"]
    for split in SPLITS[1:]:
        counts = _vocabulary(found.splits.get(split, ()))
        if total := counts.total():
            unknown = sum(count for word, count in counts.items() if word not in known)
            lines.append(f"words of {split} that train lacks: {unknown:,} of {total:,}")
    return lines


def _counts(found: Found) -> Table:
    splits = [split for split in SPLITS if split in found.splits]
    each = [found.splits[split] for split in splits]
    different = [len({example.values[1] for example in examples}) for examples in each]
    rows: tuple[tuple[str | float, ...], ...] = (
        ("pictures with captions", *map(len, each)),
        ("different captions", *different),
    )
    return Table("Examples", ("", *splits), rows)


def _shown(examples: Sequence[Example]) -> list[Sample]:
    chosen = examples[:SHOWN]
    if not chosen:
        return []
    pictures = np.stack(
        [thumbnail(captions.over_white(image_decoding.upright(Path(e.values[0])))) for e in chosen]
    )
    return [
        Images(
            "A few of train", pictures, tuple(short(e.values[1]) for e in chosen), columns=_COLUMNS
        )
    ]
