"""Own images with masks: what is read, and each fault."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcore.data.own import mask_summary, masks
from dlcore.data.own.kinds import kind
from dlcore.data.sets import instances, maps
from dlcore.errors import UsageError
from tests.data.own import made

pytestmark = pytest.mark.quick


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))


def mask(file: Path, values: np.ndarray) -> Path:
    """A grey PNG of these values."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(file)
    return file


def folder_of(path: Path, count: int = 30, classes: int = 3, side: int = 20) -> Path:
    """Images of noise, of several sizes, with masks in stripes of classes and one ignored row."""
    for i in range(count):
        width, height = side + i % 3, side + i % 2
        made.image(path / "images" / f"{i:02d}.jpg", i, (width, height), "RGB")
        values = (np.arange(height * width).reshape(height, width) // 5 % classes).astype(np.uint8)
        values[0] = 255
        mask(path / "masks" / f"{i:02d}.png", values)
    (path / "classes.txt").write_text("\n".join(["sky", "road", "tree"][:classes]) + "\n")
    return path


def test_a_folder_is_read_and_divided(tmp_path: Path) -> None:
    found = maps.load("camvid", folder_of(tmp_path / "mine"), (16, 24))
    assert found.facts.classes == ["sky", "road", "tree"]
    assert found.facts.by_hash == ["validation", "test"]
    assert sum(found.facts.examples.values()) == 30
    for _, source in found.items():
        assert source.arrays["image"].shape[1:] == (16, 24, 3)
        assert set(np.unique(source.arrays["label_map"])) == {0, 1, 2, 255}
    labels = found.train.arrays["label_map"]
    assert found.facts.class_pixels == [int((labels == c).sum()) for c in range(3)]


def test_splits_and_classes_without_names(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        folder_of(tmp_path / split, 2, 2)
        (tmp_path / split / "classes.txt").unlink()
    found = maps.load("camvid", tmp_path, (20, 20))
    assert found.facts.classes == ["0", "1"]
    assert found.facts.examples == {"train": 2, "validation": 2, "test": 2}


def test_images_of_the_size_keep_their_pixels_and_masks(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "mine", 30, side=20)
    found = maps.load("camvid", folder, (20, 20))
    image, numbers = masks.read(folder / "images/00.jpg", folder / "masks/00.png")
    pixels = np.asarray(image)
    everything = [
        (i, m)
        for _, source in found.items()
        for i, m in zip(source.arrays["image"], source.arrays["label_map"], strict=True)
    ]
    assert any((i == pixels).all() and (m == numbers).all() for i, m in everything)


def _other_size(path: Path) -> None:
    mask(path / "masks/04.png", np.zeros((21, 20), np.uint8))


def _coloured(path: Path) -> None:
    made.image(path / "masks/04.png", 0, (21, 20), "RGB")


def _jpeg(path: Path) -> None:
    with Image.open(path / "masks/04.png") as opened:
        opened.save(path / "masks/04.png", "JPEG")


def _damaged(path: Path) -> None:
    (path / "masks/04.png").write_bytes(b"no image")


def _unreadable(path: Path) -> None:
    (path / "images/04.jpg").write_bytes(b"no image")


def _unknown(path: Path) -> None:
    values = np.zeros((20, 21), np.uint8)
    values[3, 3] = 7
    mask(path / "masks/04.png", values)


def _missing(path: Path) -> None:
    (path / "classes.txt").write_text("sky\nroad\ntree\nsign\n")


def _twice(path: Path) -> None:
    (path / "classes.txt").write_text("sky\nroad\nsky\n")


def _without_mask(path: Path) -> None:
    (path / "masks/04.png").unlink()


def _without_image(path: Path) -> None:
    (path / "images/04.jpg").unlink()


def _other_ending(path: Path) -> None:
    made.image(path / "images/04.png", 99, (20, 20), "RGB")


def _folder(path: Path) -> None:
    made.image(path / "images/patient/1.png", 99, (20, 20), "RGB")


def _transparent(path: Path) -> None:
    with Image.open(path / "masks/04.png") as opened:
        opened.convert("L").convert("LA").save(path / "masks/04.png")


def _without_masks(path: Path) -> None:
    (path / "masks").rename(path / "labels")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_other_size, r"masks/04.png is 20 x 21 pixels and its image 04.jpg 21 x 20"),
        (_coloured, r"masks/04.png has colours \(RGB\)"),
        (_jpeg, r"masks/04.png is a JPEG, which changes the numbers of pixels: export .* as PNG"),
        (_damaged, r"masks/04.png cannot be read as a mask"),
        (_unreadable, r"images/04.jpg cannot be read as an image"),
        (_unknown, r"masks/04.png has pixels of value 7, and .*names 3 classes, 0 to 2"),
        (_missing, r"no mask of train has pixels of class 'sign' \(3\)"),
        (_twice, r"'sky' is empty or occurs twice"),
        (_without_mask, r"images/04.jpg has no mask in .*add 04.png"),
        (_without_image, r"masks/04.png has no image"),
        (_other_ending, r"images/04.jpg and 04.png have one name: rename or remove one"),
        (_folder, r"images/patient is a folder in images, whose files are not read: move them"),
        (_transparent, r"masks/04.png has transparency \(LA\): a mask has one whole number"),
        (_without_masks, r"has no folder masks: a folder has images/ and masks/"),
    ],
)
def test_faults_are_named_with_their_file(tmp_path: Path, spoil: object, message: str) -> None:
    folder = folder_of(tmp_path / "mine")
    spoil(folder)  # type: ignore[operator]
    with pytest.raises(UsageError, match=message):
        maps.load("camvid", folder, (16, 24))


def test_many_classes_need_names(tmp_path: Path) -> None:
    """Masks whose edges are smoothed have every value between two."""
    folder = folder_of(tmp_path / "mine")
    (folder / "classes.txt").unlink()
    for file in (folder / "masks").iterdir():
        mask(file, np.arange(420).reshape(20, 21).astype(np.uint8) % 65)
        made.image(folder / "images" / f"{file.stem}.jpg", int(file.stem), (21, 20), "RGB")
    with pytest.raises(UsageError, match=r"has 65 different values, .* 65 classes: its edges"):
        maps.load("camvid", folder, (20, 21))
    (folder / "classes.txt").write_text("\n".join(f"class {i}" for i in range(65)))
    assert len(maps.load("camvid", folder, (20, 21)).facts.classes) == 65


def test_a_split_of_ignored_pixels_alone_is_refused(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        folder_of(tmp_path / "mine" / split, 3)
        (tmp_path / "mine" / split / "classes.txt").unlink()
    for file in (tmp_path / "mine" / "test" / "masks").iterdir():
        mask(file, np.full_like(np.asarray(Image.open(file)), 255))
    with pytest.raises(UsageError, match="all pixels of test have the value 255, which is ignored"):
        maps.load("camvid", tmp_path / "mine", (16, 24))


def test_a_file_is_no_folder_of_masks(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no folder"):
        maps.load("camvid", made.image(tmp_path / "one.png", 0), (16, 24))


def test_what_a_folder_holds_is_shown_with_all_its_faults(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "mine")
    assert kind(folder)[0] == "masks"
    found = mask_summary.summary(folder)
    assert not found.problems
    assert found.lines[0] == "images with masks that can be read: 30"
    assert {row[1] for row in found.tables[2].rows} == {"sky", "road", "tree", "ignored"}
    assert sum(row[2] for row in found.tables[2].rows) == pytest.approx(1, abs=1e-3)
    _coloured(folder)
    _unreadable(folder)
    _other_size(folder)
    (folder / "masks/05.png").write_bytes(b"no image")
    problems = mask_summary.summary(folder).problems
    named = [("04.jpg" in each, "05.png" in each) for each in problems]
    assert named == [(True, False), (False, True)]


def test_numbers_of_instances_that_train_lacks_are_no_fault(tmp_path: Path) -> None:
    """More instances in an image for validation than in any for training."""
    for split, most in (("train", 3), ("validation", 5), ("test", 3)):
        values = np.kron(np.arange(most), np.ones((9, 6))).astype(np.uint8)
        for i in range(2):
            made.image(tmp_path / split / "images" / f"{i}.png", i, values.shape[::-1])
            mask(tmp_path / split / "masks" / f"{i}.png", values)
    assert len(instances.load("nuclei_dsb2018", tmp_path, 0, 16).validation) == 2
    (problem,) = mask_summary.summary(tmp_path).problems
    assert "pixels of value 3" in problem
    assert problem.endswith("is no fault: dlcore train segmentation_nuclei)")
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    (problem,) = mask_summary.summary(tmp_path).problems
    assert "nuclei" not in problem


@pytest.mark.parametrize(
    ("names", "message"),
    [("", r"all pixels have one class, and two"), ("sky\nroad\n", r"no mask of .*'road' \(1\)")],
)
def test_objects_of_the_ignored_value_are_explained(
    tmp_path: Path, names: str, message: str
) -> None:
    folder = folder_of(tmp_path / "mine")
    (folder / "classes.txt").unlink()
    if names:
        (folder / "classes.txt").write_text(names)
    for file in (folder / "masks").iterdir():
        mask(file, (255 * (np.arange(420).reshape(20, 21) % 3 == 0)).astype(np.uint8))
        made.image(folder / "images" / f"{file.stem}.jpg", int(file.stem), (21, 20), "RGB")
    with pytest.raises(UsageError, match=rf"{message}.*\(the value 255 is ignored: classes are"):
        maps.load("camvid", folder, (16, 24))
