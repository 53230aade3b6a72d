"""Splits of images with boxes: their names, their folders, and splits without boxes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dlcore.data.own import coco, yolo
from dlcore.data.own.annotated import Annotated
from dlcore.errors import UsageError
from tests.data.own import boxed

pytestmark = pytest.mark.quick


def write(file: Path, content: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))
    return file


def split_files(path: Path, *names: str) -> Path:
    """A COCO file of each name, its images in a folder of that name."""
    for i, name in enumerate(names):
        write(path / f"{name}.json", boxed.coco_content(4, path / name, 100 * i))
    return path


def problems(found: Annotated) -> list[str]:
    assert not found.problems
    found.check(3)
    return found.problems


def test_dev_is_the_validation_split(tmp_path: Path) -> None:
    found = coco.find(split_files(tmp_path, "train", "dev"))
    assert {split: len(each) for split, each in found.splits.items()} == {
        "train": 4,
        "validation": 4,
    }
    assert not problems(found)
    for name in ("train", "dev"):
        (tmp_path / f"{name}.json").rename(tmp_path / name / "_annotations.coco.json")
    assert [*coco.find(tmp_path).splits] == ["train", "validation"]


def test_files_of_no_split_are_refused_beside_others(tmp_path: Path) -> None:
    split_files(tmp_path, "train", "val", "person_keypoints_val")
    write(tmp_path / "colours.json", {"cat": "red"})
    (tmp_path / "notes.json").write_text("{")
    assert [*coco.find(tmp_path).splits] == ["train", "validation"]
    split_files(tmp_path, "holdout")
    with pytest.raises(UsageError, match=r"holdout\.json has images and boxes, and its name is"):
        coco.find(tmp_path)
    for name in ("train", "holdout"):
        (tmp_path / f"{name}.json").rename(tmp_path / name / "_annotations.coco.json")
    with pytest.raises(UsageError, match=r"holdout/_annotations\.coco\.json has images and boxes"):
        coco.find(tmp_path)


def test_categories_have_ids_of_their_own(tmp_path: Path) -> None:
    cat, dog = boxed.coco_content(1, tmp_path)["categories"]
    file = boxed.coco(tmp_path, categories=[cat, dog, {**dog, "name": "owl"}])
    assert coco.find(file).problems == [
        f"{file}: the categories 'dog' and 'owl' have one id, 7: give each its own"
    ]
    assert not coco.find(boxed.coco(tmp_path, categories=[cat, dog, dog])).problems


@pytest.mark.parametrize("name", ["val", "instances_val2017", "annotations/instances_val2017"])
def test_a_single_file_takes_the_images_of_its_own_split(tmp_path: Path, name: str) -> None:
    content = boxed.coco_content(3, tmp_path / "val")
    boxed.coco_content(3, tmp_path / "train")
    boxed.coco_content(3, tmp_path)
    found = coco.find(write(tmp_path / f"{name}.json", content))
    assert {each.file.parent for each in found.splits["train"]} == {tmp_path / "val"}
    for file in [*(tmp_path / "val").iterdir(), *tmp_path.glob("*.png")]:
        file.unlink()
    assert len(coco.find(tmp_path / f"{name}.json").problems) == 3  # and not those of train
    found = coco.find(write(tmp_path / "all.json", content))
    assert {each.file.parent for each in found.splits["train"]} == {tmp_path / "train"}


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_split_without_boxes_is_a_problem(tmp_path: Path, split: str) -> None:
    folder = boxed.yolo(tmp_path / "yolo", (8, 4, 2))
    assert not problems(yolo.find(folder))
    (folder / "labels" / split).rename(folder / "elsewhere")
    (problem,) = problems(yolo.find(folder))
    assert f"has a box ({folder / 'labels' / split}), so that nothing can be measured" in problem
    path = split_files(tmp_path / "coco", "train", split)
    content = {**boxed.coco_content(4, path / split), "annotations": []}
    file = write(path / f"{split}.json", content)
    (problem,) = problems(coco.find(path))
    assert f"has a box ({file}), so that" in problem


def test_a_file_in_two_splits_is_a_problem(tmp_path: Path) -> None:
    folder = boxed.yolo(tmp_path / "yolo")
    (folder / "data.yaml").write_text("names: [cat, dog]\ntrain: images/train\nval: images/train\n")
    found = yolo.find(folder)
    found.divide()
    (one, other) = problems(found)
    assert "files are in train and in validation, such as" in one
    assert "files are in validation and in test, such as" in other


def test_boxes_without_an_image_are_a_problem(tmp_path: Path) -> None:
    folder = boxed.yolo(tmp_path / "images" / "yolo")  # a folder above may be called images
    assert not problems(yolo.find(folder))
    (folder / "labels/train/classes.txt").write_text("cat\ndog\n")
    assert not yolo.find(folder).problems
    (folder / "images/train/0.png").rename(folder / "images/train/0.heic")
    (problem,) = yolo.find(folder).problems
    assert problem.startswith(f"{folder / 'labels/train/0.txt'} belongs to no image")
    assert yolo.find(folder).label_paths["train"] == folder / "labels/train"


def test_a_cut_split_without_boxes_is_a_problem(tmp_path: Path) -> None:
    file = boxed.coco(tmp_path)
    found = coco.find(file)
    found.divide()
    cut = {int(each.file.stem) for each in found.splits["validation"]}
    boxes = [e for e in boxed.coco_content(40, tmp_path)["annotations"] if e["id"] not in cut]
    found = coco.find(boxed.coco(tmp_path, annotations=boxes))
    found.divide()
    (problem,) = problems(found)
    assert "no image of validation has a box (cut from train by hash)" in problem
