"""User images: a folder per class, or tables of paths and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Integer

from dlcore.data.facts import Facts
from dlcore.data.own import files, split_names, table_files
from dlcore.data.own.found import Example, Found
from dlcore.data.own.image_cache import decoded, digests, stored_sizes
from dlcore.data.own.image_sizes import warn_of_size
from dlcore.data.source import Arrays, Source
from dlcore.data.splits import Splits
from dlcore.errors import UsageError

_ENDINGS = ("png", "jpg", "jpeg", "gif", "bmp", "webp", "tif", "tiff", "ppm", "pgm")
SUFFIXES = tuple(f".{ending}" for ending in _ENDINGS)
COLUMNS = ("path", "label")


def find(path: Path) -> Found:
    """Finds the images of a path: examples with `values` (file, label), and faults as `problems`.

    Args:
        path: a folder with a subfolder per class, or with folders train, validation and test of
            such subfolders; or a .csv, .tsv or .jsonl file with the columns `path` (relative to the
            folder of that file) and `label`, and optionally `split`; or a folder of such files.
    """
    if path.is_file():
        return _listed(path)
    found = Found(path)
    if not path.exists():
        found.problems.append(f"{path}: there is no such file or folder")
        return found
    folders = [each for each in files.visible(path) if each.is_dir()]
    if not folders and any(
        each.suffix.lower() in table_files.TABLES for each in files.visible(path)
    ):
        return _listed(path)
    train = files.train_folder(path)
    if train and any(each.is_dir() for each in files.visible(train)):
        try:
            splits = files.split_folders(path)
        except UsageError as error:
            found.problems.append(str(error))
            return found
    else:
        splits = {"train": path}
        found.problems += _no_classes(path, folders)
    for split, folder in splits.items():
        found.splits[split] = _by_class(folder, found.problems)
    return found


def _no_classes(path: Path, folders: Sequence[Path]) -> list[str]:
    """A problem where the folders of a path would be its classes, and are splits or not several.

    Folders look like splits if all are named so, or if one is called train and another resembles.
    """
    tables = [each for each in files.visible(path) if each.suffix.lower() in table_files.TABLES]
    named = f"name the table if it has their labels: --data {tables[0]}" if tables else ""
    if named and len(folders) == 1:
        return [f"{path} has one folder, {folders[0].name}, and that is no class: {named}"]
    likely = {folder: split_names.likely(folder.name) for folder in folders}
    train = [each for each, split in likely.items() if split == "train"]
    if not all(likely.values()):
        train = [each for each in train if each.name.lower() == "train"]
    held_out = [each for each, split in likely.items() if split in ("validation", "test")]
    if not train or not held_out:
        return []
    return [
        f"{train[0]} and {held_out[0].name} would be two classes, and are named like splits: call"
        " them train, validation or test, with a folder for each class in every one of them"
        + (f"; or {named}" if named else "")
    ]


def _by_class(folder: Path, problems: list[str]) -> list[Example]:
    """The images of a folder with a subfolder per class; other files beside these are ignored."""
    examples = []
    classes = [each for each in files.visible(folder) if each.is_dir()]
    for file in files.visible(folder):
        if not file.is_dir() and file.suffix.lower() in SUFFIXES:
            problems.append(f"{file} lies in no class: move it into the folder of its class")
    if not classes:
        problems.append(f"{folder} holds no folders: give it one for each class, of its images")
    for each in classes:
        inside = files.visible(each)
        if not inside:
            problems.append(f"{each}, a class, is empty: put images in, or remove the folder")
        for file in inside:
            if file.is_dir():
                problems.append(f"{file} is a folder in a class: move its images into {each}")
            elif file.suffix.lower() not in SUFFIXES:
                problems.append(
                    f"{file} is no image ({', '.join(SUFFIXES)}): move it out of the class"
                )
            else:
                examples.append(Example(str(file), (str(file), each.name)))
    return examples


def _listed(path: Path) -> Found:
    found = Found(path)
    try:
        found = table_files.of_tables(path, COLUMNS)
    except UsageError as error:
        found.problems.append(str(error))
    for split, examples in found.splits.items():
        kept = []
        for example in examples:
            name, label = example.values
            file = Path(example.where.rpartition(", line ")[0]).parent / name
            if file.is_file():
                kept.append(Example(f"{example.where} ({name})", (str(file), label)))
            else:
                found.problems.append(f"{example.where}: there is no file {file}: mend its path")
        found.splits[split] = kept
    return found


@dataclass(frozen=True)
class Size:
    """Determines the size to which a user's images are resized from the sizes of the files.

    Height and width are the medians of the files', which are reduced to at most `longest`, their
    ratio kept, and rounded down to multiples of `multiple`, at least one. Images are grey if all
    files are.

    Attributes:
        multiple: height and width must be divisible by it.
        longest: largest height and width in pixels.
    """

    multiple: int = 1
    longest: int = 96

    def of(self, sizes: Integer[np.ndarray, "n 3"]) -> tuple[int, int, int]:
        """Computes [height, width, channels] from those of the files [n, 3]."""
        median = np.median(sizes[:, :2], 0)
        reduced = median * min(1.0, self.longest / median.max())
        height, width = (max(int(side) // self.multiple, 1) * self.multiple for side in reduced)
        return height, width, int(sizes[:, 2].max())


def load(path: Path, shape: Sequence[int] | Size) -> Splits:
    """Loads a user's images as splits, decoded once into the cache.

    Emits a UserWarning if the files' median size differs much from `shape` (`warn_of_size`).

    Args:
        path: see `find`. Missing splits are cut from train by the hash of the files' contents.
        shape: [height, width, channels] to which images are resized; or `Size`, which determines it
            from the files of the training split.

    Returns:
        Splits of `image` uint8 [*shape] and `label` int32. `facts` has `classes`; `by_hash`, the
        splits that were cut; and `original_sizes`, {"smallest", "largest"}: [height, width], each
        by itself.

    Raises:
        UsageError: a fault in the files, one class only, a class that train lacks, or a split that
            the hash leaves empty.
    """
    found = find(path)
    found.refuse()
    found.divide(lambda train: digests([Path(example.values[0]) for example in train]))
    names = found.classes()
    found.refuse()
    if isinstance(shape, Size):
        shape = shape.of(stored_sizes([Path(each.values[0]) for each in found.splits["train"]]))
    sizes, made = [], {}
    for split, examples in found.splits.items():
        arrays = decoded(path.resolve().name, found.named(split), examples, names, shape)
        sizes.append(np.asarray(arrays.arrays["size"]))
        contents = {name: arrays.arrays[name] for name in ("image", "label")}
        made[split] = Arrays(contents, arrays.info)
    every = np.concatenate(sizes)
    warn_of_size(path, every, shape)
    originals = {"smallest": every.min(0).tolist(), "largest": every.max(0).tolist()}
    facts = Facts(classes=names, by_hash=found.by_hash, original_sizes=originals)
    sources: dict[str, Source] = dict(made)
    return Splits.of(sources, facts=facts)
