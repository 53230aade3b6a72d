"""A user's photographs, which have no classes."""

from __future__ import annotations

from pathlib import Path

from dlcore.data.own import files
from dlcore.data.own.found import Example, Found
from dlcore.data.own.images import SUFFIXES
from dlcore.errors import UsageError


def find(path: Path) -> Found:
    """Finds the photographs of a path; the `values` of an example are (file,).

    Args:
        path: a folder of images, also in subfolders; its splits are those of `files.grouped`.

    Returns:
        The examples; faults of the folder are its `problems`. No file is decoded.
    """
    found = Found(path)
    try:
        grouped, _ = files.grouped(path, SUFFIXES)
    except UsageError as error:
        found.problems.append(f"{error} (style transfer takes a folder of photographs)")
        return found
    for split, paths in grouped.items():
        found.splits[split] = [Example(str(file), (str(file),)) for file in paths]
    return found


def has_only_images(path: Path) -> bool:
    """Returns whether images lie in a folder or in those of its splits, which have no folders."""
    try:
        folders = files.split_folders(path).values() if files.train_folder(path) else [path]
    except UsageError:
        return False
    inside = [entry for folder in folders if folder.is_dir() for entry in files.visible(folder)]
    images = [entry for entry in inside if entry.suffix.lower() in SUFFIXES]
    return bool(images) and not any(entry.is_dir() for entry in inside)
