"""Names of files and folders that are splits, look like splits, or are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcore.data.own import captions, files, images, masks, split_names, stories
from dlcore.errors import UsageError
from tests.data.own import made
from tests.data.own.test_files import write

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("name", ["{}.csv", "{}/a.csv"])
def test_names_with_capitals_are_splits(tmp_path: Path, name: str) -> None:
    paths = [write(tmp_path / name.format(each), "x") for each in ("Train", "Validation", "TEST")]
    found, given = files.grouped(tmp_path, (".csv",))
    assert given
    assert found == dict(
        zip(("train", "validation", "test"), ([each] for each in paths), strict=True)
    )


def test_images_captions_and_masks_in_folders_and_tables_with_capitals(tmp_path: Path) -> None:
    for split in ("Train", "Test"):
        made.image(tmp_path / f"a/{split}/cat/1.png", 1)
        made.image(tmp_path / f"b/{split}/images/1.png", 1)
        made.image(tmp_path / f"b/{split}/masks/1.png", 1)
        write(tmp_path / f"c/{split}.csv", "path,caption\n../a/Train/cat/1.png,a cat\n")
    assert [*images.find(tmp_path / "a").splits] == ["train", "test"]
    assert [*captions.find(tmp_path / "c").splits] == ["test", "train"]
    with pytest.raises(UsageError, match="of its 1 examples the hash puts none into"):
        masks.find(tmp_path / "b")  # validation is cut from the one of train


@pytest.mark.parametrize(
    ("names", "suffixes", "message"),
    [
        ("Train.csv Valid.csv Test.csv", ".csv", "Test.csv and Valid.csv: name all files for"),
        ("train-v2.0.json dev-v2.0.json", ".json", "to train.json and validation.json"),
        (
            "data/train-00000-of-00002.parquet data/train-00001-of-00002.parquet"
            " data/test-00000-of-00001.parquet",
            ".parquet",
            "train-00000-of-00002.parquet and data/test-00000-of-00001.parquet look like files of",
        ),
        ("ner_train.conll ner_test.conll README.txt", ".conll .txt", "ner_train.conll and ner_te"),
        ("Training/a.csv eval/b.csv", ".csv", "a.csv and eval/b.csv look like files of two splits"),
        ("wiki.train.tokens wiki.valid.tokens", "", "put the files of each split into a folder"),
        ("Train/x.csv Dev/x.csv", ".csv", "Dev is a folder beside .*Train: rename it to validati"),
        ("Train/x.csv train/x.csv", ".csv", "Train and .*train are both of the train split"),
    ],
)
def test_names_that_look_like_splits_are_refused(
    tmp_path: Path, names: str, suffixes: str, message: str
) -> None:
    for name in names.split():
        write(tmp_path / name, "x")
    with pytest.raises(UsageError, match=message):
        files.grouped(tmp_path, suffixes.split())


@pytest.mark.parametrize(
    ("names", "suffixes"),
    [
        ("a_train.csv b_train.csv more.csv", ".csv"),
        ("steam_train_1.jpg road_test_2.jpg cat.jpg", ".jpg"),
        ("model.py code/train.py code/test.py", ""),  # source code as a corpus
        ("Main.java Test.java", ""),
        ("Train/a.py Model/b.py main.py", ""),
        ("contest.csv trainer.csv", ".csv"),
    ],
)
def test_names_that_are_no_splits_are_read(tmp_path: Path, names: str, suffixes: str) -> None:
    paths = [write(tmp_path / name, "x") for name in names.split()]
    found, given = files.grouped(tmp_path, suffixes.split())
    assert (sorted(found["train"]), given) == (sorted(paths), False)


def test_the_own_names_of_babi_are_splits(tmp_path: Path) -> None:
    for end in ("train", "test"):
        write(tmp_path / f"qa7_sets_{end}.txt", "1 Mary went home.\n2 Where is Mary? \thome\t1\n")
    assert [*stories.find(tmp_path).splits] == ["train", "test"]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("X-train_1.csv", "train"),
        ("train/dev.txt", "validation"),
        ("test1", "test"),
        ("trains", ""),
    ],
)
def test_the_last_word_of_a_name_says_its_split(name: str, split: str) -> None:
    assert split_names.likely(name) == split


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("train/1.jpg test1/2.jpg", "train and test1 would be two classes, and are named like"),
        ("train/1.jpg sample/3.jpg test1/2.jpg", "train and test1 would be two classes"),
        ("train_images/1.jpg test_images/2.jpg train.csv", "or name the table .* --data .*in.csv"),
        ("images/1.jpg labels.csv", "one folder, images, and that is no class: name the table"),
    ],
)
def test_flat_folders_of_splits_are_no_classes(tmp_path: Path, names: str, message: str) -> None:
    for name in names.split():
        write(tmp_path / name, "path,label\n") if "csv" in name else made.image(tmp_path / name, 1)
    with pytest.raises(UsageError, match=message):
        images.load(tmp_path, (8, 8, 1))


def test_classes_beside_a_table_or_with_words_of_splits_are_classes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        made.image(tmp_path / f"{folder}/train/1.png", 1)
        made.image(tmp_path / f"{folder}/plane/1.png", 2)
    write(tmp_path / "a/labels.csv", "path,label\n")
    made.image(tmp_path / "c/freight train/1.png", 1)
    made.image(tmp_path / "c/crash test/1.png", 1)
    made.image(tmp_path / "c/plane/1.png", 2)
    assert not any(images.find(tmp_path / each).problems for each in "abc")
