"""Cells that are no numbers as they are written: decimal commas, and the index of pandas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlcore.data.own import columns
from dlcore.errors import UsageError
from tests.data.own.test_tables import quiet, write

pytestmark = pytest.mark.quick


def kind_of(cells: list[str], name: str = "a") -> str:
    where = [f"row {i}" for i in range(len(cells))]
    return columns.recognised(name, cells, where, np.arange(len(cells)))["kind"]


def test_decimal_commas_are_refused_with_column_and_line() -> None:
    message = r"row 1: '36,6' in column 'a' is a number with a comma, as 2 of .*point \(36\.6\)"
    with pytest.raises(UsageError, match=message):
        kind_of(["37", "36,6", "", "36,5"])
    with pytest.raises(UsageError, match="row 1: '36,6'"):
        kind_of(["x", *["36,6"] * 9])
    assert kind_of(["x", "y", *["36,6"] * 9]) == "category"  # fewer than nine tenths
    assert kind_of(["1,2,3", "1,2"] * 5) == "category"
    assert kind_of(["36.6", "37"]) == "number"


@pytest.mark.parametrize("task", ["auto", "number", "classes"])
def test_a_target_with_decimal_commas_is_no_class(tmp_path: Path, task: Any) -> None:
    rows = "".join(f'{i},"{i % 3},5"\n' for i in range(60))
    path = write(tmp_path, f"x,y\n{rows}")
    if task == "classes":
        assert quiet(path, "y", task).facts.classes == ["0,5", "1,5", "2,5"]
        return
    with pytest.raises(UsageError, match=r"line 2: '0,5' in column 'y' .*; or take --task classes"):
        quiet(path, "y", task)


@pytest.mark.slow
def test_the_index_of_pandas_is_no_input(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = {"x": [1, 2] * 30, "y": ["a", "b"] * 30, "__index_level_0__": [*range(60)]}
    parquet.write_table(pyarrow.table(table), tmp_path / "a.parquet")
    with pytest.raises(UsageError, match=r"a\.parquet, row 1: '__index_level_0__' .*index=False"):
        quiet(tmp_path / "a.parquet", "y")
