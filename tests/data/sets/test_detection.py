"""Images with boxes: exact boxes of scenes, one's own files, and each fault with its place."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlcore.data.own import annotated, box_summary
from dlcore.data.sets import detection, scenes
from dlcore.data.stream import Stream
from dlcore.errors import UsageError
from tests.data.own import boxed

CANVAS = (20, 20)  # half of the images' size, with a strip of grey below


def load(path: Path, most: int = 3) -> Any:
    return detection.load("bccd", path, CANVAS, most)


def check(splits: Any) -> None:
    """Each image has its one box, around its bright square, on the canvas."""
    assert splits.facts.classes == ["cat", "dog"]
    for _, source in splits.items():
        batch = source.gather(np.arange(len(source)))
        x, y, w, h = boxed.BOX
        assert batch["count"].tolist() == [1] * len(source)
        np.testing.assert_allclose(
            batch["boxes"][:, 0], [[x / 2, y / 2, (x + w) / 2, (y + h) / 2]] * len(source)
        )
        assert not batch["boxes"][:, 1:].any()
        assert batch["scale"].tolist() == [0.5] * len(source)
        assert batch["extent"].tolist() == [[20, 15]] * len(source)
        assert (batch["image"][:, 6:7, 5:9] > 150).all()
        assert (batch["image"][:, 15:] == annotated.GREY).all()


def test_a_coco_file_is_cut_by_hash(tmp_path: Path) -> None:
    splits = load(boxed.coco(tmp_path))
    check(splits)
    assert splits.facts.by_hash == ["validation", "test"]
    assert sum(splits.facts.examples.values()) == 40
    labels = splits.train.arrays["label"][:, 0]
    assert set(labels.tolist()) == {0, 1}
    # the second time from the cache, to the same bits
    assert load(tmp_path / "boxes.json").facts.sources == splits.facts.sources


@pytest.mark.parametrize("layout", ["instances", "folders"])
def test_coco_with_splits(tmp_path: Path, layout: str) -> None:
    """As COCO has it, and as exporters have it: a file in each split's folder."""
    for i, (split, count) in enumerate((("train", 6), ("valid", 3), ("test", 2))):
        folder = tmp_path / split
        content = boxed.coco_content(count, folder, first=100 * i)
        file = folder / "_annotations.coco.json"
        if layout == "instances":
            file = tmp_path / "annotations" / f"instances_{split}2017.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(content))
    splits = load(tmp_path)
    check(splits)
    assert splits.facts.examples == {"train": 6, "validation": 3, "test": 2}
    if layout == "instances":
        (tmp_path / "val.json").write_text(file.read_text())
        with pytest.raises(UsageError, match=r"val\.json and .*valid2017\.json are both named"):
            load(tmp_path)


def test_crowds_are_left_out_and_counted(tmp_path: Path) -> None:
    crowd = {"id": 99, "image_id": 0, "category_id": 3, "bbox": [0, 0, 40, 30], "iscrowd": 1}
    content = boxed.coco_content(40, tmp_path / "images")
    splits = load(boxed.coco(tmp_path, annotations=[*content["annotations"], crowd]))
    check(splits)
    assert splits.facts.left_out == {"crowds": 1}


def test_a_yolo_folder(tmp_path: Path) -> None:
    splits = load(boxed.yolo(tmp_path, (8, 4, 2)))
    check(splits)
    assert splits.facts.examples == {"train": 8, "validation": 4, "test": 2}
    # an image without a file of boxes has no objects
    (tmp_path / "labels" / "train" / "3.txt").unlink()
    again = load(tmp_path)
    assert sorted(again.train.arrays["count"].tolist()) == [0, *[1] * 7]


FAULTS = {
    "outside": ({"bbox": [30, 10, 12, 6]}, r"annotation 5: the box .* reaches 2 pixels outside"),
    "edge": ({"bbox": [-0.8, 10, 0.7, 6]}, "annotation 5: the box .* lies outside its image"),
    "no area": ({"bbox": [30, 10, 0, 6]}, "annotation 5: the box .* has no area"),
    "not a number": ({"bbox": [1, 2, 3]}, r"annotation 5: bbox \[1, 2, 3\] is not four numbers"),
    "no category": ({"category_id": 4}, "annotation 5: there is no category 4: there are 3, 7"),
    "no image": ({"image_id": 77}, "annotation 5: there is no image 77"),
    "list": ({"category_id": [3]}, "entry 6 of annotations: category_id is a list"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_coco_name_their_annotation(tmp_path: Path, fault: str) -> None:
    changes, message = FAULTS[fault]
    content = boxed.coco_content(40, tmp_path / "images")["annotations"]
    file = boxed.coco(tmp_path, annotations=[*content[:5], {**content[5], **changes}, *content[6:]])
    with pytest.raises(UsageError, match=message) as raised:
        load(file)
    assert str(file) in str(raised.value)


def test_faults_of_images_and_classes(tmp_path: Path) -> None:
    file = boxed.coco(tmp_path)
    (tmp_path / "images" / "007.png").write_text("no image")
    with pytest.raises(UsageError, match=r"image 7: .*007.png cannot be read as an image"):
        load(file)
    (tmp_path / "images" / "007.png").unlink()
    with pytest.raises(UsageError, match=r"image 7: there is no file '007.png'"):
        load(file)
    bird = {"id": 9, "name": "bird", "supercategory": "animal"}
    categories = boxed.coco_content(1, tmp_path)["categories"]
    with pytest.raises(UsageError, match="the class 'bird' has no box in train"):
        load(boxed.coco(tmp_path, categories=[*categories, bird]))
    with pytest.raises(UsageError, match="has no list of objects 'images'"):
        load(boxed.coco(tmp_path, images={}))


@pytest.mark.parametrize("number", [3, None, [4]])
def test_images_of_coco_have_numbers_of_their_own(tmp_path: Path, number: object) -> None:
    content = boxed.coco_content(40, tmp_path / "images")["images"]
    file = boxed.coco(tmp_path, images=[*content[:4], {**content[4], "id": number}, *content[5:]])
    with pytest.raises(UsageError, match=r"image '004.png': its id .* give each one its own"):
        load(file)


def test_more_boxes_than_the_maximum(tmp_path: Path) -> None:
    content = boxed.coco_content(40, tmp_path / "images")["annotations"]
    more = [{**content[4], "id": 100 + i} for i in range(3)]
    with pytest.raises(UsageError, match=r"image 4 has 4 boxes.*--max-boxes 3: give --max-boxes 4"):
        load(boxed.coco(tmp_path, annotations=[*content, *more]))


LINES = {
    "0 0.5 0.5 0.2": "4 values",
    "2 0.5 0.5 0.2 0.2": "there is no class 2: data.yaml names 2",
    "x 0.5 0.5 0.2 0.2": "is not a class and four numbers",
    "0 0.9 0.5 0.4 0.2": "reaches 4 pixels outside its image of 40x30",
    "1 0.5 nan 0.2 0.2": "has no area",
}


@pytest.mark.parametrize("line", LINES)
def test_faults_of_yolo_name_their_line(tmp_path: Path, line: str) -> None:
    boxed.yolo(tmp_path, (8, 4, 2), lines=f"1 0.5 0.5 0.2 0.2\n{line}\n")
    with pytest.raises(UsageError, match=rf"labels/train/0.txt, line 2: .*{LINES[line]}"):
        load(tmp_path)


def test_a_class_whose_images_the_hash_takes_from_train_is_named(tmp_path: Path) -> None:
    file = boxed.coco(tmp_path)
    found = box_summary.read(file)
    found.divide()
    taken = int(found.splits["test"][0].file.stem)
    content = json.loads(file.read_text())
    content["annotations"][taken]["category_id"] = 9
    content["categories"].append({"id": 9, "name": "bird"})
    file.write_text(json.dumps(content))
    message = (
        r"the class 'bird' has no box in train \(validation and test are cut from it by hash\)"
    )
    with pytest.raises(UsageError, match=message):
        load(file)
    (problem,) = box_summary.summary(file).problems
    assert re.search(message, problem)


def test_a_file_of_boxes_that_is_no_text_is_named(tmp_path: Path) -> None:
    folder = boxed.yolo(tmp_path, (8, 4, 2))
    for number in (0, 3):
        (tmp_path / "labels" / "train" / f"{number}.txt").write_bytes(b"1 0.5 \xff")
    with pytest.raises(UsageError, match=r"(?s)labels/train/0.txt.*labels/train/3.txt"):
        load(folder)


def test_paths_that_hold_no_boxes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file or folder"):
        load(tmp_path / "nothing")
    with pytest.raises(UsageError, match="neither a COCO file"):
        load(tmp_path)
    (tmp_path / "data.yaml").write_text("names: [cat]")
    with pytest.raises(UsageError, match="has no `train`"):
        load(tmp_path)
    for names in ("", "\nnames: {0: cat, dog: 1}"):
        (tmp_path / "data.yaml").write_text(f"train: images/train{names}")
        with pytest.raises(UsageError, match="`names` must be a list"):
            load(tmp_path)
    (tmp_path / "data.yaml").write_text("train: images/train\nnames: [cat, 1, dog, '1']")
    with pytest.raises(UsageError, match=r"data\.yaml: two classes .* '1': rename one"):
        load(tmp_path)
    (tmp_path / "boxes.json").write_text("{")
    with pytest.raises(UsageError, match=r"boxes\.json: not JSON"):
        load(tmp_path / "boxes.json")


def test_boxes_of_scenes_are_exact() -> None:
    """A box's border touches ink on each side; no two boxes lie on each other."""
    source = scenes.digit_scenes("test", (48, 40), 3, 4)
    batch = source.gather(np.arange(20))
    assert batch["count"].min() == 1
    assert batch["count"].max() == 3
    for image, boxes, count in zip(batch["image"], batch["boxes"], batch["count"], strict=True):
        for left, top, right, bottom in boxes[:count].astype(int):
            inside = image[top:bottom, left:right].max(-1).astype(int)
            assert inside.max() > 90
            assert 0 <= left < right <= 48
            assert 0 <= top < bottom <= 40
    again = scenes.digit_scenes("test", (48, 40), 3, 4)
    assert again.info == source.info


@pytest.mark.slow
def test_a_mosaic_has_three_other_examples_of_any_process() -> None:
    splits = detection.with_mosaics(detection.load("bccd", "offline", (24, 24), 2, 2))
    whole = Stream(splits.train, 8, 0, np.arange(8)).at(3)
    half = Stream(splits.train, 8, 0, np.arange(4, 8)).at(3)
    assert whole["partner_image"].shape == (8, 3, 24, 24, 3)
    for name in whole:
        np.testing.assert_array_equal(whole[name][4:], half[name], err_msg=name)
    mapped = splits.map(train={"dark": lambda batch: batch["image"] // 2})
    dark = Stream(mapped.train, 8, 0, np.arange(8)).at(3)["partner_dark"]
    np.testing.assert_array_equal(dark, whole["partner_image"] // 2)
    first = [whole["image"][0], *whole["partner_image"][0]]
    assert len({image.tobytes() for image in first}) == 4
