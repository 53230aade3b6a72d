"""Records of a prepared set: decoded, checked, and named where they are damaged or changed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from dlcore.data import records, tfds
from dlcore.errors import UsageError

pytestmark = pytest.mark.usefixtures("places")


def test_class_names() -> None:
    assert tfds.class_names("tiny_pictures") == ("even", "odd")
    with pytest.raises(UsageError, match="classes of 'word'; it names those of: label"):
        tfds.class_names("tiny_pictures", "word")


def test_check_reads_both_ends_of_every_split(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path, dirs_exist_ok=True)
    (stored,) = tmp_path.rglob("*-test.array_record-*")
    with stored.open("rb+") as file:
        file.seek(70_000)
        file.write(b"\xff" * 4000)
        file.truncate(90_000)
    with pytest.raises(UsageError, match=r"split test: (record \d+|its records) cannot be decoded"):
        records.check(tfds.find("tiny_pictures", tmp_path))


def test_lost_records_are_named(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path, dirs_exist_ok=True)
    for file in tmp_path.rglob("*-test.array_record-*"):
        file.unlink()
    with pytest.raises(UsageError, match=r"holds no records of test.*dlcore prepare tiny_pictures"):
        tfds.load("tiny_pictures", "test", data_dir=tmp_path)


def test_changed_records_are_decoded_again(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path, dirs_exist_ok=True)
    load = lambda: tfds.load("tiny_pictures", "test", data_dir=tmp_path, features=("label",))  # noqa: E731
    before = load().arrays["label"].filename
    (stored,) = tmp_path.rglob("*-test.array_record-*")
    assert load().arrays["label"].filename == before
    os.utime(stored, (1, 1))
    assert load().arrays["label"].filename != before


def test_plain_values_are_texts_and_lists_of_texts_and_arrays_of_numbers() -> None:
    words, numbers = np.array([b"one", b"two"], object), np.arange(3)
    plain = records.plain({"word": b"a", "words": words, "numbers": numbers, "groups": [{"n": 1}]})
    assert plain.pop("numbers") is numbers
    assert plain == {"word": "a", "words": ["one", "two"], "groups": [{"n": 1}]}
