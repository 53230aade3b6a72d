"""Rows for a trained model: of files, of lines with and without a header, of Python values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlcore.data.own import rows
from dlcore.errors import UsageError

pytestmark = pytest.mark.quick
NAMES = ("age", "colour")


def test_columns_come_in_any_order_and_others_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text("colour\tage\ttarget\nred\t 3\t\n\nblue\t\tx\n")
    found = rows.read([path], [], NAMES)
    assert [each.values for each in found] == [
        {"age": "3", "colour": "red"},
        {"age": "", "colour": "blue"},
    ]
    assert found[1].where == f"{path}, line 4"


@pytest.mark.parametrize(
    "text", [["3,red"], ["age,colour", "3,red"], ["colour,more,age\nred,1,3"], ["3;red"]]
)
def test_lines_may_have_a_header(text: list[str]) -> None:
    assert [each.values for each in rows.read([], text, NAMES)] == [{"age": "3", "colour": "red"}]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"colour": "red", "age": 3, "more": 1}, {"age": "3", "colour": "red"}),
        ([np.float32(0.5), None], {"age": "0.5", "colour": ""}),
        ((float("nan"), True), {"age": "", "colour": "true"}),
    ],
)
def test_values_of_python_are_cells(value: Any, expected: dict[str, str]) -> None:
    assert rows.of_value(value, NAMES).values == expected


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("age,color\n3,red\n")
    with pytest.raises(UsageError, match=r"rows.csv has no column 'colour', .* has age, color"):
        rows.read([path], [], NAMES)
    with pytest.raises(UsageError, match=r"line 1: 3 cells, and the model reads 2: age, colour"):
        rows.read([], ["1,2,3"], NAMES)
    with pytest.raises(UsageError, match="the row has no 'colour': it has age"):
        rows.of_value({"age": 1}, NAMES)
    with pytest.raises(UsageError, match="the row: 1 cells"):
        rows.of_value([1], NAMES)
