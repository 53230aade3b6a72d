"""One's own tables: kinds, statistics by hand, splits, and the message of every fault."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlcore.data import split
from dlcore.data.facts import Facts
from dlcore.data.own import cells, columns, tables
from dlcore.data.sets import tables as published
from dlcore.errors import UsageError

pytestmark = pytest.mark.quick

TABLE = """age,colour,fixed,split,kind
1,red,5,train,yes
3,blue,5,train,no
,red,5,train,yes
5,NA,5,train,no
9,green,5,validation,yes
?,,5,test,no
"""


def write(folder: Path, text: str, name: str = "people.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def quiet(path: Path, target: str, task: Any = "auto") -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tables.load(path, target, task)


def many(rows: int = 60) -> str:
    """A table without a column `split`."""
    lines = [f"{i % 7},{'ab'[i % 2]},{i % 3 + 0.5}" for i in range(rows)]
    return "\n".join(["x,letter,y", *lines]) + "\n"


def test_kinds_and_statistics_are_those_of_training(tmp_path: Path) -> None:
    path = write(tmp_path, TABLE)
    with pytest.warns(UserWarning, match="column") as said:
        splits = tables.load(path, "kind")
    messages = "\n".join(str(each.message) for each in said)
    assert "column 'fixed' is ignored: one value in the whole training split" in messages
    assert "'age' is number, mean 3, deviation 1.633; 1 training row without a value" in messages
    deviation = np.sqrt(8 / 3)  # of 1, 3, 5
    assert splits.facts.columns == [
        {
            "name": "age",
            "kind": "number",
            "mean": 3,
            "deviation": deviation,
            "missing": 1,
            "indicator": True,
        },
        {
            "name": "colour",
            "kind": "category",
            "categories": ["red", "blue"],
            "missing": 1,
            "indicator": True,
            "rare": 0,
        },
        {
            "name": "fixed",
            "kind": "ignored",
            "missing": 0,
            "reason": "one value in the whole training split",
        },
    ]
    inputs = ["age", "age is missing", "colour = red", "colour = blue", "colour is missing"]
    assert splits.facts.inputs == inputs
    assert splits.facts.classes == ["no", "yes"]
    assert splits.facts.class_counts == [2, 2]
    d = 1 / deviation
    expected = [[-2 * d, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 1, 1, 0, 0], [2 * d, 0, 0, 0, 1]]
    np.testing.assert_allclose(splits.train.arrays["x"], expected, rtol=1e-6)
    np.testing.assert_allclose(splits.validation.arrays["x"], [[6 * d, 0, 0, 0, 0]], rtol=1e-6)
    np.testing.assert_array_equal(splits.test.arrays["x"], [[0, 1, 0, 0, 1]])
    assert splits.train.arrays["label"].tolist() == [1, 0, 1, 0]
    assert splits.test.cells == (("?", "", "5", "test", "no"),)
    assert Facts.from_json(splits.facts.to_json()) == splits.facts
    assert splits.train.info.name == "people.csv"


def test_a_target_of_numbers_is_standardised_by_training(tmp_path: Path) -> None:
    text = "x,y,split\n1,10,train\n2,30,train\n3,20.5,validation\n1,40,test\n"
    splits = quiet(write(tmp_path, text), "y")
    facts = splits.facts
    assert (facts.task, facts.mean, facts.deviation, facts.classes) == ("number", 20, 10, [])
    assert splits.train.arrays["target"].tolist() == [-1, 1]
    assert splits.test.arrays["target"].tolist() == [2]
    assert splits.validation.target.tolist() == [20.5]
    assert dict(tables.described(facts))["y"] == "the target: number, mean 20, deviation 10"


@pytest.mark.parametrize(
    ("values", "task", "expected", "classes"),
    [
        ("3 1 2.0 01", "auto", "classes", ["1", "2", "3"]),  # 1, 1.0 and 01 are one class
        ("3 1 2.5 1", "auto", "number", []),
        ("3 1 2 1", "number", "number", []),
        ("1.5 2.5 1.5 10.5", "classes", "classes", ["1.5", "2.5", "10.5"]),
        ("b a b a", "auto", "classes", ["a", "b"]),
        (" ".join(map(str, range(11))), "auto", "number", []),
    ],
)
def test_classes_are_distinguished_from_numbers(
    tmp_path: Path, values: str, task: Any, expected: str, classes: list[str]
) -> None:
    cells = values.split()
    lines = [f"{i},{cell},train" for i, cell in enumerate(cells)]
    lines += [f"0,{cells[0]},validation", f"0,{cells[0]},test"]
    splits = quiet(write(tmp_path, "\n".join(["x,y,split", *lines])), "y", task)
    assert (splits.facts.task, splits.facts.classes) == (expected, classes)


def test_equal_numbers_whose_deviation_is_rounded_are_constant(tmp_path: Path) -> None:
    assert 0 < np.full(12, 0.1).std() < 1e-15
    where = [f"row {i}" for i in range(13)]
    found = columns.recognised("x", [*["0.1"] * 11, "0.10", "3"], where, np.arange(12))
    assert (found["mean"], found["deviation"]) == (pytest.approx(0.1), 1)
    lines = [f"{i},0.1,train" for i in range(12)] + ["1,0.2,validation", "2,0.3,test"]
    with pytest.raises(UsageError, match=r"the target 'y' is 0.1 in all rows of train"):
        quiet(write(tmp_path, "\n".join(["x,y,split", *lines])), "y", "number")


@pytest.mark.parametrize("count", [10, 20, 30, 70])
def test_one_wrong_cell_of_ten_is_a_fault_and_more_are_a_category(count: int) -> None:
    where, train = [f"row {i}" for i in range(count)], np.arange(count)
    cells = [*["x"] * (count // 10), *map(str, range(count - count // 10))]
    with pytest.raises(UsageError, match="row 0: 'x' in column 'a' is no finite number"):
        columns.recognised("a", cells, where, train)
    assert columns.recognised("a", ["x", *cells[:-1]], where, train)["kind"] in (
        "category",
        "ignored",
    )


@pytest.mark.parametrize(("power", "size"), [("200", "large"), ("-200", "small")])
def test_a_target_whose_deviation_no_float_can_hold_is_refused(
    power: str, size: str, tmp_path: Path
) -> None:
    lines = [f"{i},{i}e{power},{split}" for i, split in ((1, "train"), (3, "train"))]
    lines += [f"1,2e{power},validation", f"2,1e{power},test"]
    with pytest.raises(UsageError, match=f"the target 'y' has numbers too {size}"):
        quiet(write(tmp_path, "\n".join(["x,y,split", *lines])), "y", "number")


def test_rows_are_split_by_their_hash_so_that_new_ones_move_none(tmp_path: Path) -> None:
    def by_row(text: str) -> dict[tuple[str, ...], str]:
        splits = quiet(write(tmp_path, text), "letter")
        assert splits.test.info.split == "test by hash"
        return {row: name for name, source in splits.items() for row in source.cells}

    first = by_row(many())
    header, rest = many().split("\n", 1)
    assert by_row(f"{header}\n99,a,0.5\n98,b,0.5\n{rest}").items() >= first.items()
    rows = [line.split(",") for line in many().split("\n")[1:-1]]
    parts = split.by_hash([json.dumps(row) for row in rows])
    assert {tuple(rows[i]) for i in parts["test"]} == {
        row for row, name in first.items() if name == "test"
    }


def test_a_split_that_is_not_given_is_cut_from_training(tmp_path: Path) -> None:
    lines = [f"{line},train" for line in many().split("\n")[1:-1]] + ["1,a,7,test", "2,b,7,test"]
    splits = quiet(write(tmp_path, "\n".join(["x,letter,y,split", *lines])), "letter")
    assert splits.facts.examples["test"] == 2
    assert splits.test.info.split == "test"
    assert splits.validation.info.split == "validation by hash"
    assert sum(splits.facts.examples.values()) == 62
    assert 0 < splits.facts.examples["validation"] < 20


def test_files_by_split_are_one_table(tmp_path: Path) -> None:
    write(tmp_path, "x,y\n1,a\n2,b\n4,a\n", "train.csv")
    write(tmp_path, "x\ty\n3\ta\n", "validation.tsv")
    write(tmp_path, "x;y\n3;b\n", "test.csv")
    splits = quiet(tmp_path, "y")
    assert splits.facts.examples == {"train": 3, "validation": 1, "test": 1}
    assert splits.facts.columns[0]["mean"] == pytest.approx(7 / 3)
    write(tmp_path, "x,z\n1,a\n", "test.csv")
    with pytest.raises(UsageError, match=r"test.csv has other columns than .*train.csv"):
        quiet(tmp_path, "y")


@pytest.mark.slow
def test_parquet_is_the_same_table(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {
        "age": [1.0, 3.0, None, 5.0, 9.0, None],
        "colour": ["red", "blue", "red", None, "green", None],
        "fixed": [5] * 6,
        "split": ["train"] * 4 + ["validation", "test"],
        "kind": ["yes", "no"] * 3,
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "people.parquet")
    found = quiet(tmp_path / "people.parquet", "kind")
    same = quiet(write(tmp_path, TABLE), "kind")
    assert found.facts.columns == same.facts.columns
    for name, source in found.items():
        np.testing.assert_array_equal(source.arrays["x"], same[name].arrays["x"])
    nested = pyarrow.table({"x": [[1], [2]], "y": ["a", "b"]})
    parquet.write_table(nested, tmp_path / "nested.parquet")
    with pytest.raises(UsageError, match="column 'x' holds list"):
        quiet(tmp_path / "nested.parquet", "y")
    with pytest.raises(UsageError, match="cannot be read as Parquet"):
        quiet(write(tmp_path, "x,y\n", "text.parquet"), "y")


def test_texts_that_hardly_repeat_have_no_input_and_rare_ones_none_of_their_own() -> None:
    where = [f"row {i}" for i in range(1200)]
    train = np.arange(1200)
    found = columns.recognised("name", [f"n{i}" for i in range(1200)], where, train)
    assert (found["kind"], found["reason"]) == ("ignored", "1200 different texts in 1200 rows")
    cells = [f"n{i // 3}" for i in range(1200)]
    found = columns.recognised("name", cells, where, train)
    assert (len(found["categories"]), found["rare"]) == (columns.MOST, 400 - columns.MOST)
    encoded = columns.encode([found], {"name": cells}, where)
    assert encoded.x.sum() == 3 * columns.MOST
    assert encoded.unknown.count({}) == 3 * columns.MOST


@pytest.mark.slow
def test_the_published_table_goes_the_same_way() -> None:
    splits = published.rows("published", "diagnosis")
    assert splits.facts.classes == ["benign", "malignant"]
    assert sum(splits.facts.examples.values()) == 569
    assert len(splits.facts.inputs) == 30
    x: Any = splits.train.arrays["x"]
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(x.std(0), 1, atol=1e-5)
    assert published.rows("offline", "mean radius").facts.task == "number"


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        (many(), "z", r"people.csv has no column 'z': give --target one of x, letter, y"),
        ("x,y\n1,a\n2,a\n", "y", r"the target 'y' has one class only, 'a'"),
        ("x,y\n1,2.5\n2,2.5\n", "y", r"the target 'y' has one number only, '2.5'"),
        ("x,y\n1,a\n2,NaN\n3,b\n4,\n", "y", r"people.csv, line 3: the target 'y' is 'NaN' \(2 ro"),
        ("x,y\n1,a\n2,\n", "y", r"people.csv, line 3: the target 'y' is 'empty'"),
        ("x,y\n1,a\n2\n", "y", r"people.csv, line 3: 1 cells, and line 1 names 2 columns"),
        ("x,y,x\n1,a,2\n", "y", r"people.csv, line 1: two columns are called 'x'"),
        (",x,y\n0,1,a\n", "y", r"line 1: column 1 has no name.*index=False"),
        ("1,2\n3,4\n", "y", r"line 1: 1, 2 are no names of columns"),
        ("", "y", r"people.csv is empty"),
        ("x,y\n\n", "y", r"people.csv has no rows"),
        ('x,y\n1,"a\n', "y", r"people.csv, line 2: unexpected end of data: mend the quotes"),
        ("y,split\na,train\nb,train\na,validation\nb,test\n", "y", r"'y' from: no other"),
        ("x,y,split\n1,a,train\n1,b,dev\n", "y", r"line 3: 'dev' in column 'split' is none of tra"),
        ("x,y,split\n1,a,test\n1,b,test\n", "y", r"has no row for train"),
        ("x,y\n1,a\n2,b\n", "y", r"of its 2 rows the hash puts none into"),
    ],
)
def test_faults_are_named_with_their_line(
    tmp_path: Path, text: str, target: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        quiet(write(tmp_path, text), target)


ROWS = "".join(f"{i % 5},{'ab'[i % 2]},train\n" for i in range(20))


@pytest.mark.parametrize(
    ("more", "task", "message"),
    [
        ("1,a,validation\n1,c,test\n", "auto", r"line 23: the class 'c' of test does not occur"),
        ("1,a,validation\nx1,b,test\n", "auto", r"line 23: 'x1' in column 'x' is no finite number"),
        ("1,a,validation\ninf,b,test\n", "auto", r"line 23: 'inf' in column 'x' is no finite"),
        ("1,a,validation\n1,b,test\n", "number", r"line 2: the target 'y' is 'a', which is no fi"),
    ],
)
def test_faults_of_one_row_among_many(tmp_path: Path, more: str, task: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        quiet(write(tmp_path, f"x,y,split\n{ROWS}{more}"), "y", task)


def test_other_files_are_refused(tmp_path: Path) -> None:
    latin = tmp_path / "latin.csv"
    latin.write_bytes("x,y\n1,a\n2,é\n".encode("latin-1"))
    with pytest.raises(UsageError, match=r"latin.csv, line 3: byte .* is not UTF-8"):
        quiet(latin, "y")
    latin.write_bytes("x,y\n1,a\n".encode("utf-16"))
    with pytest.raises(UsageError, match=r"line 1: the file is UTF-16"):
        quiet(latin, "y")
    with pytest.raises(UsageError, match=r"people.xlsx is none of .csv, .tsv, .parquet"):
        quiet(write(tmp_path, "x", "people.xlsx"), "y")
    with pytest.raises(UsageError, match=r"nothing\.csv: there is no such file or folder"):
        quiet(tmp_path / "nothing.csv", "y")


def test_cells_of_tsv_are_as_they_stand(tmp_path: Path) -> None:
    table = cells.read(write(tmp_path, 'said\tby\n"so\tAnn\n"a"\tBo\n', "said.tsv"))
    assert table.rows == [('"so', "Ann"), ('"a"', "Bo")]
    with pytest.raises(UsageError, match=r"line 2: 3 cells, .*: remove tabs from its cells"):
        cells.read(write(tmp_path, 'said\tby\n"a\tb"\tAnn\n', "tabs.tsv"))
