"""Summarises a user's table: its columns, splits, duplicates and faults."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dlcore.data.own import cells, columns, tables
from dlcore.data.own.cells import Cells
from dlcore.data.own.summary import SHOWN, Summary, duplicates, short, whole
from dlcore.data.splits import Splits
from dlcore.errors import UsageError
from dlcore.samples import Table


def summary(path: Path, target: str = "") -> Summary:
    """Reads all rows of a table, and summarises them.

    Args:
        path: see `dlcore.data.own.cells.read`.
        target: the column to predict; "": unknown, and no splits are cut.

    Returns:
        The summary; what makes the target or the splits unusable is among its `problems`.

    Raises:
        UsageError: as `dlcore.data.own.cells.read`, such as a row with too few cells.
    """
    found = cells.read(path)
    lines = [f"rows: {len(found.rows):,}, columns: {len(found.columns)}"]
    described, problems = _columns(found, target)
    splits: Splits | None = None
    if target:
        try:
            splits = tables.splits_of(found, target, "auto", path.name, tables.VERSION)
        except UsageError as error:
            problems.append(str(error))
    else:
        lines.append("--target COLUMN says which column is to be predicted, and shows the splits")
    if splits is not None:
        cut = [name for name, source in splits.items() if source.info.split.endswith("by hash")]
        if cut:
            lines.append(f"cut from train by the hash of the row: {' and '.join(cut)}")
    same = _duplicates(found, splits)
    if not same:
        lines.append("no two rows are the same")
    rows = tuple(tuple(short(cell) for cell in row) for row in found.rows[:SHOWN])
    return Summary(
        path,
        tuple(lines),
        tuple(dict.fromkeys(problems)),
        (*_counts(found, splits), described, *same),
        (Table("The first rows", found.columns, rows),),
        f"dlcore train mlp_table --data {path} --target {target or 'COLUMN'}",
    )


def _columns(found: Cells, target: str) -> tuple[Table, list[str]]:
    """A table of the contents of each column, and the problems of columns that cannot be read."""
    problems, rows = [], []
    everything = np.arange(len(found.rows))
    for name in found.columns:
        values = found.column(name)
        try:
            column = columns.recognised(name, values, found.where, everything)
        except UsageError as error:
            # the target may be of classes that look like numbers: it has messages of its own
            if name != target:
                problems.append(str(error))
            column = {"kind": "damaged"}
        numbers = [columns.number(each) for each in values if not columns.is_missing(each)]
        known = [each for each in numbers if each is not None]
        kind = "the target" if name == target else column["kind"]
        rows.append((name, kind, _missing(values), *_range(known, column["kind"])))
    head = ("column", "kind", "missing", "different", "minimum", "median", "maximum")
    different = [len({*found.column(name)}) for name in found.columns]
    filled = tuple((*row[:3], n, *row[3:]) for row, n in zip(rows, different, strict=True))
    return Table("Columns", head, filled), problems


def _missing(values: Sequence[str]) -> int:
    return sum(map(columns.is_missing, values))


def _range(numbers: Sequence[float], kind: str) -> tuple[str | float, ...]:
    """Minimum, median and maximum of a column of numbers; empty for other columns."""
    if kind != "number":
        return "", "", ""
    return tuple(whole(each(numbers)) for each in (np.min, np.median, np.max))


def _counts(found: Cells, splits: Splits | None) -> list[Table]:
    """Rows by split, and by class where the target has classes."""
    if splits is None:
        if not found.split:
            return []
        counts = collections.Counter(found.split)
        return [Table("Rows", tuple(counts), (tuple(counts.values()),))]
    names = splits.names()
    if splits.facts.task != "classes":
        sizes = tuple(len(splits[name]) for name in names)
        return [Table("Rows", ("", *names), (("rows", *sizes),))]
    classes = splits.facts.classes
    by_split = []
    for name in names:
        labels = splits[name].gather(np.arange(len(splits[name])))["label"]
        by_split.append(np.bincount(labels, minlength=len(classes)))
    rows = [(label, *(int(n[i]) for n in by_split)) for i, label in enumerate(classes)]
    rows.append(("all", *(int(n.sum()) for n in by_split)))
    return [Table("Rows", ("class", *names), tuple(rows))]


def _duplicates(found: Cells, splits: Splits | None) -> list[Table]:
    """Rows whose cells are all equal."""
    if splits is None:
        given = found.split or ["the rows"] * len(found.rows)
        rows = zip(given, found.where, found.rows, strict=True)
        return duplicates((split, where, "\0".join(row), "") for split, where, row in rows)
    split_of = {row: name for name, source in splits.items() for row in source.cells}  # type: ignore[attr-defined]
    return duplicates(
        (given or split_of[row], where, "\0".join(row), "")
        for given, where, row in zip(
            found.split or [""] * len(found.rows), found.where, found.rows, strict=True
        )
    )
