"""A user's images with boxes as a YOLO folder: data.yaml, images, a text file for each image."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from dlcore.data.own import files, images
from dlcore.data.own.annotated import ALIASES, Annotated, Labelled, Picture
from dlcore.errors import UsageError


def find(path: Path) -> Annotated:
    """Reads a folder in the format of Ultralytics' YOLO.

    Args:
        path: a .yaml or .yml file or the folder of one, with `names` (a list, or {index: name}),
            and with `train`, `val` (or `validation`, `valid`) and `test`: a folder of images each,
            or a list of folders, relative to the file or to its `path`. The boxes of
            images/a/b.jpg are in labels/a/b.txt (beside the image where no folder is called
            images), "class x y width height" in each line: the index of the class, the centre, and
            the size, as fractions of the image. An image without that file has no objects.

    Returns:
        The images by split. Its `problems` list the faults of folders and of files of boxes: a
        folder that is missing or without images, a file that cannot be read, is not UTF-8 or
        belongs to no image, and each wrong line, whose box is left out.

    Raises:
        UsageError: no such file, not YAML, no `names` of classes or two equal ones, or no `train`.
    """
    file = description(path)
    if file is None:
        raise UsageError(f"{path} holds no data.yaml: write its `names`, `train` and `val`")
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{file} cannot be read as YAML ({error}): mend it") from error
    found = Annotated(path)
    if not isinstance(content, dict):
        raise UsageError(f"{file} has no `names` and `train`: write them")
    found.classes = _names(content.get("names"), file)
    for split, aliases in ALIASES.items():
        given = [content[alias] for alias in aliases if content.get(alias)]
        for folder in given[:1]:
            found.splits[split] = _split(folder, content, file, found)
            if pictures := found.splits[split]:
                found.label_paths[split] = _labels(pictures[0].file, file.parent).parent
    if "train" not in found.splits:
        raise UsageError(f"{file} has no `train`: name the folder of its images")
    return found


def description(path: Path) -> Path | None:
    """Returns a .yaml or .yml file, or the one in a folder; None: there is none.

    Of several in a folder it is data.yaml or data.yml, else the first by name.

    Args:
        path: a file or a folder, which need not exist.
    """
    if path.is_file():
        return path if path.suffix.lower() in (".yaml", ".yml") else None
    inside = files.visible(path) if path.is_dir() else []
    found = [file for file in inside if file.suffix.lower() in (".yaml", ".yml") and file.is_file()]
    named = [file for file in found if file.stem == "data"] or found
    return named[0] if named else None


def _names(value: object, file: Path) -> list[str]:
    if isinstance(value, dict) and set(value) == set(range(len(value))):
        value = [value[i] for i in range(len(value))]
    if not isinstance(value, list) or not value:
        raise UsageError(f"{file}: `names` must be a list of the classes, or {{0: name, 1: ...}}")
    names = [str(name) for name in value]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"{file}: two classes of `names` are called {twice[0]!r}: rename one")
    return names


def _split(value: object, content: dict[str, Any], file: Path, found: Annotated) -> list[Picture]:
    pictures = []
    for each in value if isinstance(value, list) else [value]:
        folder = _folder(str(each), content, file)
        if folder is None:
            found.problems.append(f"{file}: there is no folder {each!r}: mend the path")
            continue
        inside = [f for f in files.below(folder) if f.suffix.lower() in images.SUFFIXES]
        if not inside:
            found.problems.append(f"{folder} holds no images: put some in")
        made = [
            _picture(image, file.parent, len(found.classes), found.problems) for image in inside
        ]
        _refuse_unmatched(made, file.parent, found.problems)
        pictures += made
    return pictures


def _refuse_unmatched(pictures: Sequence[Picture], root: Path, problems: list[str]) -> None:
    """Adds a problem for each file of boxes beside those of the pictures that belongs to none."""
    known = {_labels(picture.file, root) for picture in pictures}
    for folder in sorted({file.parent for file in known if file.parent.is_dir()}):
        for file in files.visible(folder):
            if file.suffix.lower() == ".txt" and file not in known and _has_boxes(file):
                problems.append(
                    f"{file} belongs to no image ({', '.join(images.SUFFIXES)}) of this name: mend"
                    " the name, convert the image, or remove the file"
                )


def _has_boxes(file: Path) -> bool:
    """Whether the first line that is not blank has the values of a box, unlike classes.txt."""
    try:
        line = next((line for line in files.lines(file) if line.strip()), "")
    except UsageError:
        return False
    problems: list[str] = []
    return _box("", line.split(), sys.maxsize, problems) is not None


def _folder(name: str, content: dict[str, Any], file: Path) -> Path | None:
    """A folder of images; without a leading ../, which exporters write, where that is nothing."""
    roots = [file.parent, file.parent / str(content.get("path") or "")]
    tries = [name, name.removeprefix("../"), f"{name}/images"]
    found = [root / each for root in roots for each in tries if (root / each).is_dir()]
    return found[0] if found else None


def _picture(image: Path, root: Path, classes: int, problems: list[str]) -> Picture:
    file = _labels(image, root)
    boxes = []
    if file.is_file():
        try:
            lines = files.lines(file)
        except UsageError as error:
            problems.append(str(error))
            lines = []
        for number, line in enumerate(lines, 1):
            if line.strip():
                box = _box(f"{file}, line {number}", line.split(), classes, problems)
                boxes += [] if box is None else [box]
    return Picture(str(image), image, tuple(boxes))


def _labels(image: Path, root: Path) -> Path:
    """labels/a/b.txt of images/a/b.jpg: the last folder of that name; else beside the image.

    Folders above `root`, that of data.yaml, keep their names, unless the image lies elsewhere.
    """
    inside = image.is_relative_to(root)
    parts = list((image.relative_to(root) if inside else image).with_suffix(".txt").parts)
    named = [i for i, part in enumerate(parts[:-1]) if part == "images"]
    if named:
        parts[named[-1]] = "labels"
    return root.joinpath(*parts) if inside else Path(*parts)


def _box(where: str, words: list[str], classes: int, problems: list[str]) -> Labelled | None:
    if len(words) != 5:
        problems.append(f"{where}: {len(words)} values: a box is `class x y width height`")
        return None
    try:
        label, (x, y, width, height) = int(words[0]), map(float, words[1:])
    except ValueError:
        problems.append(f"{where}: {' '.join(words)!r} is not a class and four numbers")
        return None
    if not 0 <= label < classes:
        problems.append(f"{where}: there is no class {label}: data.yaml names {classes}, from 0 on")
        return None
    box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return Labelled(where, box, label, relative=True)
