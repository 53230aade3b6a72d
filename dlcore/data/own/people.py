"""A user's images of people or things to tell apart: a folder with a folder for each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from dlcore.data.own import image_cache, images
from dlcore.data.own.found import Example, Found
from dlcore.data.source import Arrays

FEWEST = 4  # people: two to learn from, and two whose images make equal and different pairs


def load(path: Path, shape: Sequence[int]) -> tuple[Arrays, list[str]]:
    """Reads images of people, decoded once into the cache.

    Args:
        path: a folder with a folder of images for each person, or a .csv, .tsv or .jsonl file with
            `path` and `label`, the person.
        shape: [height, width, channels] of the arrays; images of other sizes are resized.

    Returns:
        `image` uint8 [images, *shape] and `label` int32 [images], an index of the names; and the
        names of the people, sorted.

    Raises:
        UsageError: anything that is wrong with the files; fewer than four people; a person with
            one image; or splits, since people are divided into folds.
    """
    found = find(path)
    found.refuse()
    examples = found.splits["train"]
    names = sorted({example.values[-1] for example in examples})
    source = image_cache.decoded(path.resolve().name, "all", examples, names, shape)
    contents = {name: source.arrays[name] for name in ("image", "label")}
    return Arrays(contents, source.info), names


def find(path: Path) -> Found:
    """Finds the images of people; the `values` of an example are (file, person), all under "train".

    Args:
        path: see `load`.

    Returns:
        The examples; faults, such as a person with one image, are in its `problems`.
    """
    found = images.find(path)
    if others := [split for split in found.splits if split != "train"]:
        found.problems.append(
            f"{path} has a split {others[0]}: people are divided into folds here, so that none is"
            " in training and test; put the folders of all people into one folder"
        )
    found.splits = {"train": [example for _, example in found.items()]}
    if found.splits["train"] or not found.problems:
        found.problems += _faults(path, found.splits["train"])
    return found


def _faults(path: Path, examples: Sequence[Example]) -> list[str]:
    """Too few people, and people with a single image."""
    counts = Counter(example.values[-1] for example in examples)
    faults = [
        f"{path} has one image of {name}: a pair of one person needs two; add images, or remove the"
        " person"
        for name, count in counts.items()
        if count < 2
    ]
    if len(counts) < FEWEST:
        there = ", ".join(sorted(counts)) or "nobody"
        faults.insert(
            0,
            f"{path} shows {len(counts)} {'person' if len(counts) == 1 else 'people'} ({there}):"
            f" verification needs {FEWEST} at least, two to learn from and two to test on; add a"
            " folder for each",
        )
    return faults
