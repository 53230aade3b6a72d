"""Rows of tables for a trained model, from files, text or Python values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from dlcore.data.own import cells
from dlcore.data.own.cells import Cells
from dlcore.errors import UsageError

RowValue = Mapping[str, object] | Iterable[object]
"""A row as a Python value: {column: cell}, or its cells in order."""


class Row(NamedTuple):
    """One row of a table.

    Attributes:
        where: "FILE, line N", of Parquet "FILE, row N"; "the text, line N"; of a value "the row".
        values: {column: cell as text, "" for None and NaN}.
    """

    where: str
    values: dict[str, str]


def read(files: Sequence[Path], text: Sequence[str], names: Sequence[str]) -> list[Row]:
    """Reads the rows of files and of lines of text.

    Args:
        files: CSV, TSV or Parquet files with the columns `names` in any order; other columns, such
            as the target, are ignored.
        text: lines of CSV, of which the first may have the names of the columns; without it the
            cells are those of `names` in their order.
        names: required columns.

    Raises:
        UsageError: a missing column, a row of another length, or an unreadable file.
    """
    found = []
    for file in files:
        found += _needed(cells.read(file), names)
    if text:
        found += _lines("\n".join(text), names)
    return found


def of_value(value: RowValue, names: Sequence[str]) -> Row:
    """Converts a Python value to a row.

    Args:
        value: a mapping with the keys `names`, or a sequence in their order. None and NaN are
            missing values.
        names: required columns.

    Raises:
        UsageError: a missing key, or a sequence of another length.
    """
    if isinstance(value, Mapping):
        if missing := [name for name in names if name not in value]:
            there = ", ".join(map(str, value)) or "nothing"
            raise UsageError(f"the row has no {missing[0]!r}: it has {there}")
        return Row("the row", {name: cells.as_text(_item(value[name])) for name in names})
    values = list(value)
    _check_length("the row", len(values), names)
    cells_of = (cells.as_text(_item(each)) for each in values)
    return Row("the row", dict(zip(names, cells_of, strict=True)))


def _item(value: object) -> object:
    """Converts a scalar of NumPy or JAX to a number of Python."""
    item = getattr(value, "item", None)
    return item() if callable(item) else value


def _needed(table: Cells, names: Sequence[str]) -> list[Row]:
    if missing := [name for name in names if name not in table.columns]:
        raise UsageError(
            f"{table.name} has no column {missing[0]!r}, which the model reads: it has"
            f" {', '.join(table.columns)}"
        )
    columns = [table.column(name) for name in names]
    return [
        Row(where, dict(zip(names, row, strict=True)))
        for where, *row in zip(table.where, *columns, strict=True)
    ]


def _lines(text: str, names: Sequence[str]) -> list[Row]:
    first = next(cells.records(text, "the text"), (1, ()))[1]
    if {*names} <= {*first}:
        return _needed(cells.parse(text, "the text"), names)
    found = []
    for line, row in cells.records(text, "the text"):
        if any(row):
            _check_length(f"the text, line {line}", len(row), names)
            found.append(Row(f"the text, line {line}", dict(zip(names, row, strict=True))))
    return found


def _check_length(where: str, length: int, names: Sequence[str]) -> None:
    if length != len(names):
        raise UsageError(
            f"{where}: {length} cells, and the model reads {len(names)}: {', '.join(names)}; give"
            " these in this order, or a first line that names the columns"
        )
