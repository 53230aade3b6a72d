"""Which files of a path are COCO's, of which splits, and where their images are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeGuard

from dlcore.data.own import files, split_names
from dlcore.data.own.annotated import ALIASES
from dlcore.errors import UsageError

# by which entries refer to each other; ids of images have a check of their own
_REFERENCES = ("image_id", "category_id", "supercategory")


def is_coco(path: Path) -> bool:
    """Returns whether a path is a .json file, or a folder with some where COCO's are looked for.

    Raises:
        UsageError: the folder of a split holds several .json files, or two folders of one split
            hold one each.
    """
    if path.is_file():
        return path.suffix.lower() == ".json"
    return path.is_dir() and bool(_candidates(path) or _by_folder(path))


def _candidates(path: Path) -> list[Path]:
    folders = [path, path / "annotations"]
    inside = [file for folder in folders if folder.is_dir() for file in files.visible(folder)]
    return [file for file in inside if file.suffix.lower() == ".json"]


def _by_folder(path: Path) -> dict[str, Path]:
    """{split: the .json file in the folder of its name}."""
    result: dict[str, Path] = {}
    for split, aliases in ALIASES.items():
        for folder in (path / alias for alias in aliases):
            if folder.is_dir():
                # such files often begin with "_", and none is hidden
                inside = sorted(folder.glob("*.json"))
                if len(inside) > 1:
                    raise UsageError(f"{folder} holds {len(inside)} JSON files: leave one there")
                if inside and split in result:
                    raise UsageError(
                        f"{result[split]} and {inside[0]} are both of the {split} split: keep one"
                    )
                result.update({split: inside[0]} if inside else {})
    return result


def by_split(path: Path) -> dict[str, Path]:
    """Returns {split: its file of COCO}; a single file is of train.

    Args:
        path: see `dlcore.data.own.coco.find`.

    Raises:
        UsageError: as `dlcore.data.own.coco.find`, apart from files that are not JSON.
    """
    if not path.exists():
        raise UsageError(f"{path}: there is no such file or folder")
    if path.is_file():
        return {"train": path}
    if by_folder := _by_folder(path):
        named = {"annotations", *(alias for aliases in ALIASES.values() for alias in aliases)}
        folders = [f for f in files.visible(path) if f.is_dir() and f.name not in named]
        _refuse_unnamed(file for folder in folders for file in sorted(folder.glob("*.json")))
        return by_folder
    candidates = _candidates(path)
    result: dict[str, Path] = {}
    for split, aliases in ALIASES.items():
        for file in candidates:
            stem = file.stem.removeprefix("instances_").rstrip("0123456789")
            if stem not in aliases:
                continue
            if split in result:
                raise UsageError(
                    f"{result[split]} and {file} are both named as the {split} split: keep one"
                )
            result[split] = file
    if result:
        _refuse_unnamed(file for file in candidates if not split_names.likely(file.stem))
        return result
    if len(candidates) != 1:
        raise UsageError(
            f"{path} holds {len(candidates)} JSON files: call them train.json, val.json and"
            " test.json, or name one file"
        )
    return {"train": candidates[0]}


def _refuse_unnamed(others: Iterable[Path]) -> None:
    """Refuses files of COCO beside those of splits, which would be left out."""
    for file in others:
        try:
            left_out = is_shaped(read(file), file, [])
        except UsageError:
            continue  # no JSON that can be read is no file of COCO
        if left_out:
            raise UsageError(
                f"{file} has images and boxes, and its name is none of a split: name it or its"
                " folder train, val or test like the others, or move it elsewhere"
            )


def read(file: Path) -> object:
    """Reads JSON.

    Raises:
        UsageError: the file cannot be read or is not JSON.
    """
    try:
        return files.parse(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read ({error}): mend or remove it") from error
    except ValueError as error:
        raise UsageError(f"{file}: {error}: mend or remove it") from error


def is_shaped(
    content: object, file: Path, problems: list[str]
) -> TypeGuard[Mapping[str, Sequence[Mapping[str, object]]]]:
    """Returns whether a file has the lists of COCO, whose entries refer to each other by values.

    Args:
        content: of the file, as `read` returned it.
        file: its name in messages.
        problems: a message is appended where the result is False.
    """
    for name in ("images", "annotations", "categories"):
        entries = content.get(name) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
            problems.append(f"{file} has no list of objects {name!r}: it is not COCO's format")
            return False
        for number, entry in enumerate(entries, 1):
            for key in _REFERENCES if name != "categories" else ("id", *_REFERENCES):
                if isinstance(value := entry.get(key), list | dict):
                    problems.append(
                        f"{file}, entry {number} of {name}: {key} is a"
                        f" {type(value).__name__}, and must be a number or a text"
                    )
                    return False
    return True


def image_folders(file: Path, path: Path, split: str) -> Iterator[Path]:
    """Yields the folders in which images are looked for, and none of another split.

    Args:
        file: of COCO; a name such as val.json says its split.
        path: that the user named: `file`, or a folder around it.
        split: of the file if its name says none.
    """
    roots = [file.parent] if path.is_file() else list(dict.fromkeys([file.parent, path]))
    if file.parent.name == "annotations":
        roots.append(file.parent.parent)
    name = file.stem.removeprefix("instances_")
    stem = name.rstrip("0123456789")
    own = next((aliases for aliases in ALIASES.values() if stem in aliases), ALIASES[split])
    for root in roots:
        for alias in (name, *own):
            yield from (root / alias, root / "images" / alias)
        yield from (root, root / "images")
