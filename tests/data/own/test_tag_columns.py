"""CoNLL columns: which files have them, and the words of their sentences."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcore.data.own.tag_columns import is_columns, marks_spans, words_in
from tests.data.own.test_tagged import columns

pytestmark = pytest.mark.quick


def test_words_are_read_without_their_tags(tmp_path: Path) -> None:
    file = tmp_path / "news.conll"
    file.write_text(columns(2) + "\nZoë\n\nBo NNP I-NP I-PER\n", "utf-8")
    problems: list[str] = []
    found = list(words_in(file, problems))
    assert found == [(3, ["Ann0", "lives", "Oslo0"]), (7, ["Ann1", "lives", "Oslo1"]), (13, ["Bo"])]
    assert problems == [
        f"{file}, line 11: 1 columns, and not 4 as in line 3: give each word all of its columns,"
        " and separate sentences by empty lines"
    ]
    file.write_text("Zoë\nran\n\nBo\n", "utf-8")
    assert list(words_in(file, [])) == [(1, ["Zoë", "ran"]), (4, ["Bo"])]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.iob", "Ann\nran", True),
        ("a.txt", "Ann NNP S-PER\nran VBD O\n\nOslo NNP B-LOC", True),
        ("a.txt", "-DOCSTART-\n\nAnn S-PER\nran O\n\n-DOCSTART-\n\nOslo O\n", True),
        ("a.tsv", "Ann\tB-PER\nran\tO\n", True),
        ("a.txt", "Ann met Mr O\nBo ran\nBo left\n", False),
        ("a.txt", "Ann met Mr O\n", False),
        ("a.txt", "O\nO\n", False),
        ("a.txt", "Ann met me O\nBo O\nBo left us here O\n", False),
        ("a.tsv", "text\tlabel\nAnn ran\tx", False),
        ("a.jsonl", "Ann B-PER\nran O", False),
    ],
)
def test_columns_are_known_by_the_files_name_or_by_their_tags(
    name: str, content: str, expected: bool, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    assert is_columns(tmp_path / name, ["O", "B-PER", "I-PER"]) is expected


def test_of_a_long_file_the_beginning_tells_the_kind(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"Ann B-PER\r\nran O\r\n\r\n" * 4000 + b"caf\xe9")
    assert marks_spans(file)
    file.write_bytes(b"one line of text\n" * 4000 + b"Ann B-PER\nran O\n" * 9000)
    assert not marks_spans(file)
