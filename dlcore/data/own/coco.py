"""A user's images with boxes in COCO's JSON format: a file, or a folder with a file per split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dlcore.data.own import files
from dlcore.data.own.annotated import ALIASES, Annotated, Labelled, Picture
from dlcore.errors import UsageError

# by which entries refer to each other; ids of images have a check of their own
_REFERENCES = ("image_id", "category_id", "supercategory")


def find(path: Path) -> Annotated:
    """Reads COCO files (images, annotations, categories) with `bbox` [left, top, width, height].

    Args:
        path: a .json file; or a folder, of which the first that it has is read: folders train,
            valid and test that hold one .json file each; train.json, val.json and test.json (also
            in `annotations`, also as instances_train2017.json); or one .json file. The validation
            split may be called val, valid or validation. Images are looked for beside the file, in
            `images`, and in a folder of the split's name.

    Returns:
        The images by split, all under "train" for a single file. Faults of the contents, such as a
        missing image or an unknown category, are in its `problems`; `iscrowd` boxes are left out.

    Raises:
        UsageError: no such path, a folder without .json files or with several where one is
            expected, two files for one split, or a file that is not JSON.
    """
    found = Annotated(path)
    for split, file in _files(path).items():
        content = _read(file)
        if not _shaped(content, file, found.problems):
            continue
        names = _categories(content, file, found)
        pictures = _pictures(content, file, path, split, names, found)
        found.splits[split] = pictures
    return found


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


def _files(path: Path) -> dict[str, Path]:
    if not path.exists():
        raise UsageError(f"{path}: there is no such file or folder")
    if path.is_file():
        return {"train": path}
    if by_folder := _by_folder(path):
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
        return result
    if len(candidates) != 1:
        raise UsageError(
            f"{path} holds {len(candidates)} JSON files: call them train.json, val.json and"
            " test.json, or name one file"
        )
    return {"train": candidates[0]}


def _read(file: Path) -> Any:
    try:
        return files.parse(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read ({error}): mend or remove it") from error
    except ValueError as error:
        raise UsageError(f"{file}: {error}: mend or remove it") from error


def _shaped(content: object, file: Path, problems: list[str]) -> bool:
    """Whether a file has the lists of COCO, whose entries refer to each other by plain values."""
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


def _categories(content: Mapping[str, Any], file: Path, found: Annotated) -> dict[object, int]:
    """{id of a category: index of its class}. The first file names the classes."""
    named = {each.get("id"): each.get("name") for each in content["categories"]}
    if not all(isinstance(name, str) and name for name in named.values()) or not named:
        found.problems.append(f"{file}: each category needs an id and a name")
        return {}
    # Exporters list a category over all others, to which no annotation belongs.
    used = {each.get("category_id") for each in content["annotations"]}
    above = {
        each.get("supercategory")
        for each in content["categories"]
        if each.get("supercategory") != each.get("name")
    }
    names = {i: name for i, name in named.items() if i in used or name not in above}
    if not found.classes:
        found.classes = [names[i] for i in sorted(names, key=str if _mixed(names) else None)]
        if len(set(found.classes)) < len(found.classes):
            found.problems.append(f"{file}: two categories have one name: rename one")
    index = {name: i for i, name in enumerate(found.classes)}
    for i, name in names.items():
        if name not in index:
            found.problems.append(
                f"{file}: the category {name!r} (id {i}) is missing in train: add it there, or"
                " remove it"
            )
    return {i: index[name] for i, name in names.items() if name in index}


def _mixed(names: Mapping[object, str]) -> bool:
    return not all(isinstance(i, int) for i in names)


def _pictures(
    content: Mapping[str, Any],
    file: Path,
    path: Path,
    split: str,
    names: Mapping[object, int],
    found: Annotated,
) -> list[Picture]:
    images: dict[object, Mapping[str, Any]] = {}
    for each in content["images"]:
        if not isinstance(i := each.get("id"), int | str) or i in images:
            found.problems.append(
                f"{file}, image {each.get('file_name')!r}: its id {i!r} is no number or that of"
                " another image: give each one its own"
            )
        else:
            images[i] = each
    boxes: dict[object, list[Labelled]] = {i: [] for i in images}
    for each in content["annotations"]:
        where = f"{file}, annotation {each.get('id')}"
        if each.get("image_id") not in images:
            found.problems.append(f"{where}: there is no image {each.get('image_id')!r}")
        elif each.get("iscrowd"):
            found.crowds += 1
        elif each.get("category_id") not in names:
            known = f"there are {', '.join(map(str, names))}"
            found.problems.append(
                f"{where}: there is no category {each.get('category_id')!r}: {known}"
            )
        elif (box := _box(each.get("bbox"))) is None:
            found.problems.append(f"{where}: bbox {each.get('bbox')!r} is not four numbers")
        else:
            label = names[each["category_id"]]
            boxes[each["image_id"]].append(Labelled(where, box, label))
    folders = list(_folders(file, path, split))
    pictures = []
    for i, image in images.items():
        where, name = f"{file}, image {i}", str(image.get("file_name", ""))
        found_files = [folder / name for folder in folders if name and (folder / name).is_file()]
        if not found_files:
            found.problems.append(f"{where}: there is no file {name!r} beside it or in images/")
            continue
        size = image.get("width"), image.get("height")
        stated = (int(size[0]), int(size[1])) if all(isinstance(x, int) for x in size) else None  # type: ignore[arg-type]
        pictures.append(Picture(where, found_files[0], tuple(boxes[i]), stated))
    return pictures


def _box(value: object) -> tuple[float, float, float, float] | None:
    """[left, top, width, height] as a box; None: not four numbers."""
    if not isinstance(value, list) or len(value) != 4:
        return None
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in value):
        return None
    left, top, width, height = map(float, value)
    return left, top, left + width, top + height


def _folders(file: Path, path: Path, split: str) -> Iterator[Path]:
    """Where the images of a file are looked for."""
    roots = [file.parent] if path.is_file() else list(dict.fromkeys([file.parent, path]))
    if file.parent.name == "annotations":
        roots.append(file.parent.parent)
    for root in roots:
        yield from (root, root / "images")
        for alias in (*ALIASES[split], file.stem.removeprefix("instances_")):
            yield from (root / alias, root / "images" / alias)
