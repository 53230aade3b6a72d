"""A user's images with boxes in COCO's JSON format: a file, or a folder with a file per split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlcore.data.own import coco_files
from dlcore.data.own.annotated import Annotated, Labelled, Picture


def find(path: Path) -> Annotated:
    """Reads COCO files (images, annotations, categories) with `bbox` [left, top, width, height].

    Args:
        path: a .json file; or a folder, of which the first that it has is read: folders train,
            valid and test that hold one .json file each; train.json, val.json and test.json (also
            in `annotations`, also as instances_train2017.json); or one .json file. The validation
            split may be called val, valid, validation or dev. Images are looked for in a folder of
            the file's or the split's name, beside the file, and in `images`.

    Returns:
        The images by split, all under "train" for a single file. Faults of the contents, such as a
        missing image or an unknown category, are in its `problems`; `iscrowd` boxes are left out:
        what is found in a crowd counts as wrong, where COCO's own evaluation ignores it.

    Raises:
        UsageError: no such path, a folder without .json files or with several where one is
            expected, two files for one split, a file of COCO beside these whose name stands for no
            split, or a file that is not JSON.
    """
    found = Annotated(path)
    for split, file in coco_files.by_split(path).items():
        content = coco_files.read(file)
        if not coco_files.is_shaped(content, file, found.problems):
            continue
        names = _categories(content, file, found)
        pictures = _pictures(content, file, path, split, names, found)
        found.splits[split], found.label_paths[split] = pictures, file
    return found


def _categories(content: Mapping[str, Any], file: Path, found: Annotated) -> dict[object, int]:
    """{id of a category: index of its class}. The first file names the classes."""
    named = {each.get("id"): each.get("name") for each in content["categories"]}
    for each in content["categories"]:
        i, name = each.get("id"), each.get("name")
        if name != named[i]:
            found.problems.append(
                f"{file}: the categories {name!r} and {named[i]!r} have one id, {i!r}: give each"
                " its own"
            )
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
    folders = list(coco_files.image_folders(file, path, split))
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
