"""Files of one's own: what is read, how splits are found, and every fault with file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dlcore.data.own import coco, dialogues, files, questions, table_files, tagged
from dlcore.errors import UsageError

pytestmark = pytest.mark.quick


def write(file: Path, content: str | bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"one\ntw\xe4\n", r"line 2: byte 6 of the file \(0xe4\) is not UTF-8: save it as UTF-8"),
        (b"\xef\xbb\xbfone\n\xff", r"line 2: byte 7 of the file \(0xff\)"),
        ("one".encode("utf-16"), "line 1: the file is UTF-16, not UTF-8"),
    ],
)
def test_another_encoding_is_named_with_line_and_byte(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as error:
        files.text(write(tmp_path / "text.txt", content))
    assert str(tmp_path / "text.txt") in str(error.value)


def test_lines_keep_what_is_in_them_and_drop_the_mark_of_utf_8(tmp_path: Path) -> None:
    file = write(tmp_path / "a", b"\xef\xbb\xbfone\r\n\ntw\xe2\x80\xa8o\x0c\n")
    assert files.lines(file) == ["one", "", "tw\u2028o\x0c"]


def test_a_link_to_a_folder_around_it_is_not_followed(tmp_path: Path) -> None:
    one = write(tmp_path / "a" / "one.txt", "1")
    other = write(tmp_path.parent / f"{tmp_path.name}-other" / "two.txt", "2")
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "b").symlink_to(other.parent, target_is_directory=True)
    assert files.below(tmp_path) == [one, tmp_path / "b" / "two.txt"]
    # two folders that link to each other, and a link to itself, which is no folder
    (other.parent / "back").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    assert files.below(tmp_path) == [one, tmp_path / "b" / "two.txt", tmp_path / "itself"]


def test_json_that_is_nested_too_deeply_is_a_fault_of_its_file(tmp_path: Path) -> None:
    deep = "[" * 200_000
    finds: dict[str, Callable[[Path], Any]] = {
        "a.jsonl": questions.find,
        "b.json": questions.find,
        "c.json": coco.find,
        "d.jsonl": dialogues.find,
        "e.jsonl": tagged.load,
        "f.jsonl": lambda file: table_files.of_tables(file, ["text"]),
    }
    for name, find in finds.items():
        file = write(tmp_path / name, deep)
        with pytest.raises(UsageError, match=rf"{name}.*nested too deeply"):
            find(file).refuse()


def test_splits_are_folders_or_files_of_their_names(tmp_path: Path) -> None:
    for name in ("a/train/x.txt", "a/test/deep/y.txt", "b/train.de", "b/train.en", "b/test.de"):
        write(tmp_path / name, "x")
    write(tmp_path / "a/.hidden/z.txt", "x")
    write(tmp_path / "a/test/Thumbs.db", "x")
    found, given = files.grouped(tmp_path / "a")
    assert given
    assert found == {
        "train": [tmp_path / "a/train/x.txt"],
        "test": [tmp_path / "a/test/deep/y.txt"],
    }
    found, given = files.grouped(tmp_path / "b")
    assert given
    assert {s: [f.name for f in fs] for s, fs in found.items()} == {
        "train": ["train.de", "train.en"],
        "test": ["test.de"],
    }
    write(tmp_path / "c/one.txt", "x")
    assert files.grouped(tmp_path / "c") == ({"train": [tmp_path / "c/one.txt"]}, False)
    write(tmp_path / "c/test/two.txt", "x")  # as in a tree of source code
    assert len(files.grouped(tmp_path / "c")[0]["train"]) == 2


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train/x.txt", "val/x.txt"], "val is a folder beside .*train: rename it to validation"),
        (["train.txt", "other.txt"], "holds train.txt and other.txt: name all files for their spl"),
        (["training/x.txt", "test/x.txt"], "folder test but none called train: rename training to"),
        (["test/x.txt"], "has a folder test but none called train: add one"),
        (["test.txt"], "has files for test, but none for train"),
        (["train/x.txt", "test/.x"], "test holds no files"),
        ([], "holds no files"),
    ],
)
def test_faults_of_folders(tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        write(tmp_path / name, "x")
    with pytest.raises(UsageError, match=message):
        files.grouped(tmp_path)
