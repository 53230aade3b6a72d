"""Own images: folders and tables, the size of the images, and each fault."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from dlcore.data.own import image_decoding, images
from dlcore.data.sets import embedded
from dlcore.data.sets import images as sets
from dlcore.errors import UsageError
from tests.data.own import made

pytestmark = pytest.mark.quick


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))


def test_a_folder_by_class_is_resized_to_the_published_set(tmp_path: Path) -> None:
    folder = made.image_folder(tmp_path / "pets")
    found = sets.load("mnist", folder, 55_000)
    assert found.facts.classes == ["cat", "dog"]
    assert found.facts.by_hash == ["validation", "test"]
    assert found.facts.original_sizes == {"smallest": [24, 9], "largest": [64, 64]}
    assert found.facts.fields["image"] == {"shape": [28, 28, 1], "dtype": "uint8"}
    assert sum(found.facts.examples.values()) == 80
    assert (found.train.info.name, found.test.info.split) == ("pets", "test by hash")
    # every example is one of the files, under its class
    expected = {
        image_decoding.read(file, (28, 28, 1)).tobytes(): ["cat", "dog"].index(file.parent.name)
        for file in folder.rglob("*.png")
    }
    for _, source in found.items():
        for image, label in zip(source.arrays["image"], source.arrays["label"], strict=True):
            assert expected[image.tobytes()] == label
    small = embedded.load("digits", folder)
    assert small.facts.fields["image"]["shape"] == [8, 8, 1]
    assert sets.load("cifar10", folder, 1).facts.fields["image"]["shape"] == [32, 32, 3]


def test_the_size_follows_from_the_files(tmp_path: Path) -> None:
    folder = tmp_path / "pets"
    for i in range(40):
        for label in ("cat", "dog"):
            made.image(folder / label / f"{i}.png", i, (50, 31), "RGB" if i else "L")
    found = sets.load("mnist", folder, 55_000, multiple=4)
    assert found.facts.fields["image"]["shape"] == [28, 48, 3]
    assert sets.load("mnist", folder, 55_000).facts.fields["image"]["shape"] == [28, 28, 1]
    smaller = sets.load("mnist", folder, 55_000, multiple=1, longest=25)
    assert smaller.facts.fields["image"]["shape"] == [15, 25, 3]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(28, 28, 1), (28, 28, 1)], (28, 28, 1)),
        ([(30, 46, 1), (30, 46, 3)], (28, 44, 3)),
        ([(300, 100, 1), (10, 20, 1), (400, 200, 1)], (96, 32, 1)),
        ([(2, 900, 1)], (4, 96, 1)),
    ],
)
def test_the_size_is_the_median_reduced(
    sizes: list[tuple[int, int, int]], expected: tuple[int, int, int]
) -> None:
    assert images.Size(4).of(np.array(sizes)) == expected


def test_the_largest_side_is_the_experiment_s() -> None:
    assert images.Size(4, longest=224).of(np.array([(300, 600, 3)])) == (112, 224, 3)
    assert images.Size(4, longest=224).of(np.array([(100, 60, 3)])) == (100, 60, 3)


def test_images_stay_in_their_split_when_files_are_added_or_renamed(tmp_path: Path) -> None:
    folder = made.image_folder(tmp_path / "pets", each=30)

    def splits() -> dict[bytes, str]:
        found = images.load(folder, (8, 8, 3))
        return {row.tobytes(): name for name, s in found.items() for row in s.arrays["image"]}

    before = splits()
    made.image_folder(tmp_path / "pets", each=10, classes=("cow", "dog", "emu"), seed=50_000)
    made.image(folder / "dog/another.png", 4321)
    (folder / "cat/001.png").rename(folder / "cat/zebra.png")
    after = splits()
    kept = {image: split for image, split in before.items() if image in after}
    assert len(kept) >= 50  # ten of the dogs are other pictures now
    assert kept == {image: after[image] for image in kept}


def test_splits_of_folders_and_tables_are_as_given(tmp_path: Path) -> None:
    for split, each in (("train", 4), ("validation", 2), ("test", 3)):
        made.image_folder(tmp_path / "own" / split, each, seed=10 * each)
    by_folder = images.load(tmp_path / "own", (8, 8, 1))
    assert by_folder.facts.examples == {"train": 8, "validation": 4, "test": 6}
    assert by_folder.facts.by_hash == []
    assert by_folder.test.info.split == "test"
    rows = ["label,path,split"]
    for file in sorted((tmp_path / "own").rglob("*.png")):
        relative = file.relative_to(tmp_path)
        rows.append(f"{file.parent.name},{relative},{file.parent.parent.name}")
    (tmp_path / "list.csv").write_text("\n".join(rows))
    by_table = images.load(tmp_path / "list.csv", (8, 8, 1))
    assert by_table.facts.examples == by_folder.facts.examples
    for split, source in by_table.items():
        for field in ("image", "label"):
            np.testing.assert_array_equal(
                source.arrays[field],
                by_folder[split].arrays[field],  # type: ignore[attr-defined]
            )


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    made.image_folder(tmp_path / "own", classes=("plane", "train"))
    assert images.load(tmp_path / "own", (8, 8, 1)).facts.classes == ["plane", "train"]


def broken(folder: Path, fault: str) -> None:
    """A folder of images with a fault."""
    made.image_folder(folder, each=0 if fault in ("no folders", "stray") else 40)
    match fault:
        case "empty class":
            (folder / "emu").mkdir(parents=True)
        case "truncated":
            file = made.image(folder / "cat/x.png", 1, (64, 64))
            file.write_bytes(file.read_bytes()[:900])
        case "no image":
            (folder / "dog/007.png").write_text("no image")
        case "other file":
            (folder / "dog/notes.txt").write_text("notes")
        case "folder in class":
            (folder / "dog/more").mkdir()
        case "no folders":
            folder.mkdir()
        case "stray":
            made.image(folder / "1.png", 1)
        case "one class":
            for file in (folder / "dog").iterdir():
                file.unlink()
            (folder / "dog").rmdir()
        case "new label":
            made.image_folder(folder / "own/train", 3)
            made.image_folder(folder / "own/test", 3, ("cat", "owl"), seed=50)
        case "other split":
            made.image_folder(folder / "own/train", 3)
            made.image_folder(folder / "own/val", 3)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("empty class", "emu, a class, is empty: put images in, or remove"),
        ("truncated", r"cat/x\.png cannot be read as an image \(.*truncated.*\): mend or remove"),
        ("no image", r"dog/007\.png cannot be read as an image \(cannot identify image file\)"),
        ("other file", r"dog/notes\.txt is no image \(\.png, .*\): move it out"),
        ("folder in class", "dog/more is a folder in a class: move its images into .*dog"),
        ("no folders", "pets holds no folders: give it one for each class"),
        ("stray", r"pets/1\.png lies in no class: move it .* \(1 more: `dlcore data .*pets` lists"),
        ("one class", "pets: all examples of train have the label 'cat': a classifier needs two"),
        ("new label", r"test/owl/000\.png: the label 'owl' of test does not occur in train \(3 "),
        ("other split", "val is a folder beside .*train: rename it to validation or test"),
    ],
)
def test_faults_are_named_with_their_files(tmp_path: Path, fault: str, message: str) -> None:
    folder = tmp_path / "pets"
    broken(folder, fault)
    own = folder / "own"
    with pytest.raises(UsageError, match=message):
        images.load(own if own.exists() else folder, (28, 28, 1))


def test_faults_of_tables_of_images(tmp_path: Path) -> None:
    made.image(tmp_path / "a.png", 1)
    file = tmp_path / "list.csv"
    for content, message in (
        ("file,label\na.png,x\n", r"list\.csv, line 1: .* 'path'; there are file, label: rename"),
        ("path,label\na.png,x\nb.png,y\n", r"list\.csv, line 3: there is no file .*b\.png: mend"),
        ("path,label\na.png,\n", r"list\.csv, line 2: 'label' is empty"),
        ("path,label\na.png,x\n", "of its 1 examples the hash puts none into"),
    ):
        file.write_text(content)
        with pytest.raises(UsageError, match=message):
            images.load(file, (28, 28, 1))
    with pytest.raises(UsageError, match="elsewhere: there is no such file or folder"):
        images.load(tmp_path / "elsewhere", (28, 28, 1))
    with pytest.raises(UsageError, match="'svhn' is none: take mnist, fashion_mnist, cifar10"):
        sets.load("svhn", tmp_path, 1)


def test_own_images_for_generation_have_no_classifier(tmp_path: Path) -> None:
    folder = made.image_folder(tmp_path / "pets", 20)
    with pytest.warns(UserWarning, match="a classifier of mnist: .* no such distance is measured"):
        found = sets.load("mnist", folder, None)
    assert found.facts.no_classifier
    assert found.facts.scored == []
    assert len(found.train) + len(found.validation) + len(found.test) == 40


@pytest.mark.parametrize(("size", "warns"), [((57, 20), True), ((56, 14), False), ((28, 13), True)])
def test_images_of_very_different_sizes_are_announced(
    tmp_path: Path, size: tuple[int, int], warns: bool
) -> None:
    for number in range(20):
        made.image(tmp_path / f"photos/{number % 2}/{number}.png", number, size)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        images.load(tmp_path / "photos", (28, 28, 1))
    said = [str(each.message) for each in warned if "resized" in str(each.message)]
    expected = f"photos: images of {size[0]}x{size[1]} pixels (their median) are resized to 28x28"
    assert len(said) == warns
    assert all(expected in each for each in said)
