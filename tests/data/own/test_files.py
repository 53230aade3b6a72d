"""Files of one's own: what is read, how splits are found, and every fault with file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dlcore.data.own import coco, dialogues, files, questions, tagged
from dlcore.data.own.found import Example, Found, first_values
from dlcore.errors import UsageError

pytestmark = pytest.mark.quick


def write(file: Path, content: str | bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def of(path: Path) -> tuple[list[tuple[str, ...]], list[str]]:
    problems: list[str] = []
    return [e.values for e in files.rows(path, ["text", "label"], ["split"], problems)], problems


def test_faulty_quotes_in_a_header_are_named_with_the_line(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", '"a"b,c\n1,2\n')
    with pytest.raises(UsageError, match=r"a\.csv, line 1: .*: mend the quotes of this line"):
        files.table(file, [])


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


def test_json_that_is_nested_too_deeply_is_a_fault_of_its_file(tmp_path: Path) -> None:
    deep = "[" * 200_000
    finds: dict[str, Callable[[Path], Any]] = {
        "a.jsonl": questions.find,
        "b.json": questions.find,
        "c.json": coco.find,
        "d.jsonl": dialogues.find,
        "e.jsonl": tagged.load,
        "f.jsonl": lambda file: files.of_tables(file, ["text"]),
    }
    for name, find in finds.items():
        file = write(tmp_path / name, deep)
        with pytest.raises(UsageError, match=rf"{name}.*nested too deeply"):
            find(file).refuse()


def test_csv_tsv_and_json_lines_give_the_same_rows(tmp_path: Path) -> None:
    csv = write(tmp_path / "a.csv", 'label,text,id\r\n+,"a, ""b""\nc",1\r\n\r\n-,\u2028d,2\r\n')
    assert of(csv) == ([('a, "b"\nc', "+", ""), ("\u2028d", "-", "")], [])
    semicolons = write(tmp_path / "b.csv", 'text;label\n"a;b, c";+\n')
    assert of(semicolons) == ([("a;b, c", "+", "")], [])
    tsv = write(tmp_path / "a.tsv", 'text\tlabel\tsplit\n"a\t+\ttest\n')
    assert of(tsv) == ([('"a', "+", "test")], [])
    lines = write(tmp_path / "a.jsonl", '{"text": "a", "label": 1}\n\n{"label": true, "text": "b"}')
    assert of(lines) == ([("a", "1", ""), ("b", "true", "")], [])


def test_a_row_is_at_the_line_where_it_begins(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", 'text,label\n"one\ntwo",+\nthree,-\n')
    found = files.rows(file, ["text"], [], [])
    assert [example.where.rpartition(", ")[2] for example in found] == ["line 2", "line 4"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.csv",
            "text,class\na,b\n",
            r"a\.csv, line 1: .* 'label'; there are text, class: rename",
        ),
        ("a.csv", "", r"a\.csv is empty: its first line must name the columns"),
        ("a.csv", "text,text\na,b\n", "line 1: two columns are called 'text'"),
        ("a.csv", "text,label\na,b\nc,d,e\n", "line 3: 3 cells under 2 columns"),
        ("a.csv", "text,label\na,b\n ,d\n", "line 3: 'text' is empty: fill it in"),
        ("a.csv", 'text,label\n"a,b\n', "line 2: unexpected end of data: mend the quotes"),
        ("a.jsonl", '{"text": "a"}\n', "line 1: there is no 'label', but text"),
        ("a.jsonl", '{"text": null, "label": [1]}\n', "line 1: there is no 'text', but nothing"),
        ("a.jsonl", '{"text": "a", "label": "b"}\n{"text', "line 2: not JSON"),
        ("a.jsonl", "[1]\n", "line 1: a list, and no JSON object"),
        ("a.csv", "text,label,split\na,b,dev\n", "line 2: the split 'dev' is none of train, valid"),
        ("a.csv", "text,label\n", "has no examples for train"),
        ("train.csv", "text,label,split\na,b,test\n", "line 2: a column `split` in a file for tra"),
        ("a.txt", "a", "none of .csv, .tsv, .jsonl"),
    ],
)
def test_faults_of_tables(tmp_path: Path, name: str, content: str, message: str) -> None:
    file = write(tmp_path / name, content)
    with pytest.raises(UsageError, match=message):
        files.of_tables(tmp_path if name == "train.csv" else file, ["text", "label"]).refuse()


def test_all_faults_are_listed_and_the_first_is_raised(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "text,label\n,x\na,b\n,\nc\n")
    found = files.of_tables(file, ["text", "label"])
    assert [p.rpartition("line ")[2].partition(":")[0] for p in found.problems] == ["2", "4", "5"]
    assert [example.values for _, example in found.items()] == [("a", "b")]
    with pytest.raises(UsageError, match=r"line 2: .*\(2 more: `dlcore data .*a\.csv` lists them"):
        found.refuse()


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


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train/x.txt", "val/x.txt"], "val is a folder beside .*train: rename it to validation"),
        (["train.txt", "other.txt"], "holds train.txt and other.txt: name all files for their spl"),
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


def found(count: int, **more: list[Example]) -> Found:
    train = [Example(f"line {i}", (f"text {i}", "ab"[i % 2])) for i in range(count)]
    return Found(Path("own"), {"train": train, **more})


def test_what_a_hash_has_cut_stays_where_it_was_when_examples_are_added() -> None:
    few, many = found(150), found(300)
    many.splits["train"].reverse()
    for each in (few, many):
        each.divide(first_values)
        assert each.by_hash == ("validation", "test")
    for split, examples in few.splits.items():
        assert {e.values for e in examples} <= {e.values for e in many.splits[split]}
    assert 15 < len(many.splits["test"]) < 50
    assert sum(map(len, many.splits.values())) == 300
    assert many.named("test") == "test by hash"


def test_only_the_missing_splits_are_cut_and_given_ones_stay() -> None:
    given = [Example("line 1", ("text 3", "a"))]
    part = found(150, test=given)
    part.divide(first_values)
    assert part.by_hash == ("validation",)
    assert part.splits["test"] == given
    assert part.named("test") == "test"
    whole = found(5, test=given, validation=given)
    whole.divide(lambda examples: pytest.fail("nothing is to be cut"))
    assert whole.by_hash == ()


def test_too_few_examples_for_a_hash_and_labels_that_train_lacks() -> None:
    part = found(2)
    part.divide(first_values)
    assert "own: of its 2 examples the hash puts none into" in part.problems[0]
    odd = [Example("FILE, line 7", ("x", "c")), Example("FILE, line 9", ("y", "c"))]
    part = found(4, validation=odd[:0], test=odd)
    assert part.classes() == ["a", "b"]
    assert part.problems[0].startswith(
        "FILE, line 7: the label 'c' of test does not occur in train (2 examples): "
    )
    alone = found(1, validation=[], test=[])
    alone.classes()
    assert "all examples of train have the label 'a': a classifier needs two" in alone.problems[0]
