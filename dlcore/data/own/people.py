"""One's own images of people or things to tell apart: a folder with a folder for each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from dlcore.data.own import images
from dlcore.data.own.found import Example
from dlcore.data.source import Arrays
from dlcore.errors import UsageError

FEWEST = 4  # people: two to learn from, and two whose images make equal and different pairs


def load(path: Path, shape: Sequence[int]) -> tuple[Arrays, list[str]]:
    """Reads images of people, decoded once into the cache.

    Args:
        path: a folder with a folder of images for each person, or a .csv, .tsv or .jsonl file with
            `path` and `label`, the person.
        shape: [height, width, channels] of the arrays; images of other sizes are resized.

    Returns:
        `image` uint8 [*shape] and `label` int32; and the names of the people.

    Raises:
        UsageError: anything that is wrong with the files; fewer than four people; a person with
            one image; or splits, since people are divided into folds.
    """
    found = images.find(path)
    found.refuse()
    if others := [split for split in found.splits if split != "train"]:
        raise UsageError(
            f"{path} has a split {others[0]}: people are divided into folds here, so that none is"
            " in training and test; put the folders of all people into one folder"
        )
    examples = found.splits.get("train", [])
    _check(path, examples)
    names = sorted({example.values[-1] for example in examples})
    source = images.decoded(path.resolve().name, "all", examples, names, shape)
    contents = {name: source.arrays[name] for name in ("image", "label")}
    return Arrays(contents, source.info), names


def _check(path: Path, examples: Sequence[Example]) -> None:
    """UsageError: too few people, or one with a single image."""
    counts = Counter(example.values[-1] for example in examples)
    if len(counts) < FEWEST:
        there = ", ".join(sorted(counts)) or "nobody"
        raise UsageError(
            f"{path} shows {len(counts)} {'person' if len(counts) == 1 else 'people'} ({there}):"
            f" verification needs {FEWEST} at least, two to learn from and two to test on; add a"
            " folder for each"
        )
    if single := [name for name, count in counts.items() if count < 2]:
        raise UsageError(
            f"{path} has one image of {single[0]}: a pair of one person needs two; add images, or"
            " remove the person"
        )
