"""Tables of one's own: rows of every format are the same, and every fault has file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcore.data.own import table_files
from dlcore.errors import UsageError
from tests.data.own.test_files import write

pytestmark = pytest.mark.quick


def of(path: Path) -> tuple[list[tuple[str, ...]], list[str]]:
    problems: list[str] = []
    return [
        e.values for e in table_files.rows(path, ["text", "label"], ["split"], problems)
    ], problems


def test_faulty_quotes_in_a_header_are_named_with_the_line(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", '"a"b,c\n1,2\n')
    with pytest.raises(UsageError, match=r"a\.csv, line 1: .*: mend the quotes of this line"):
        table_files.table(file, [])


def test_csv_tsv_and_json_lines_give_the_same_rows(tmp_path: Path) -> None:
    csv = write(tmp_path / "a.csv", 'label,text,id\r\n+,"a, ""b""\nc",1\r\n\r\n-,\u2028d,2\r\n')
    assert of(csv) == ([('a, "b"\nc', "+", ""), ("\u2028d", "-", "")], [])
    semicolons = write(tmp_path / "b.csv", 'text;label\n"a;b, c";+\n')
    assert of(semicolons) == ([("a;b, c", "+", "")], [])
    tsv = write(tmp_path / "a.tsv", 'text\tlabel\tsplit\n"a\t+\ttest\n')
    assert of(tsv) == ([('"a', "+", "test")], [])
    lines = write(tmp_path / "a.jsonl", '{"text": "a", "label": 1}\n\n{"label": true, "text": "b"}')
    assert of(lines) == ([("a", "1", ""), ("b", "true", "")], [])


def test_names_lose_the_blanks_at_their_ends_and_texts_keep_them(tmp_path: Path) -> None:
    csv = write(tmp_path / "a.csv", "text,label,split\n a , pos ,test \n")
    lines = write(tmp_path / "a.jsonl", '{"text": " a ", "label": "pos ", "split": " test"}\n')
    assert of(csv) == of(lines) == ([(" a ", "pos", "test")], [])


def test_a_row_is_at_the_line_where_it_begins(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", 'text,label\n"one\ntwo",+\nthree,-\n')
    found = table_files.rows(file, ["text"], [], [])
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
        table_files.of_tables(tmp_path if name == "train.csv" else file, ["text", "label"]).refuse()


def test_a_cell_may_be_a_long_document(tmp_path: Path) -> None:
    rows = [("a", "+"), ("word " * 30_000, "-"), ("last", "+")]
    file = write(tmp_path / "a.csv", "text,label\n" + "".join(f"{a},{b}\n" for a, b in rows))
    assert of(file) == ([(*row, "") for row in rows], [])


def test_half_of_a_character_is_a_fault_with_its_line(tmp_path: Path) -> None:
    lines = '{"text": "a", "label": "x"}\n{"text": "b \\ud83d", "label": "x"}\n'
    found = table_files.of_tables(write(tmp_path / "a.jsonl", lines), ["text", "label"])
    assert len(found.problems) == 1
    assert "a.jsonl, line 2: the text that begins with 'b \\ud83d' has half" in found.problems[0]


def test_all_faults_are_listed_and_the_first_is_raised(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "text,label\n,x\na,b\n,\nc\n")
    found = table_files.of_tables(file, ["text", "label"])
    assert [p.rpartition("line ")[2].partition(":")[0] for p in found.problems] == ["2", "4", "5"]
    assert [example.values for _, example in found.items()] == [("a", "b")]
    with pytest.raises(UsageError, match=r"line 2: .*\(2 more: `dlcore data .*a\.csv` lists them"):
        found.refuse()
