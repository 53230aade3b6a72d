"""User tables as splits: one column is the target, all others are inputs."""

from __future__ import annotations

import dataclasses
import json
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from dlcore.data import source as sources
from dlcore.data import split
from dlcore.data.facts import Facts
from dlcore.data.own import columns
from dlcore.data.own.cells import Cells, read
from dlcore.data.own.columns import Column
from dlcore.data.own.files import SPLITS
from dlcore.data.own.found import VERSION
from dlcore.data.source import Arrays
from dlcore.data.splits import Splits
from dlcore.errors import UsageError

Task = Literal["auto", "classes", "number"]
SPLIT = "split"  # the column that names the split of each row
_MOST_CLASSES = 10  # a target of at most so many different integers is one of classes by default


@dataclasses.dataclass(frozen=True, eq=False)
class Rows(Arrays):
    """Inputs and targets of rows (the fields that `splits_of` lists), and the rows as text.

    Attributes:
        columns: the names of all columns, the target's among them.
        cells: the cells of each row, one per column.
        target: the target of each row, float64 [N]: a number in its own unit, or the index of its
            class.
    """

    columns: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    target: np.ndarray


def load(path: Path, target: str, task: Task = "auto") -> Splits:
    """Loads a CSV, TSV or Parquet file, or a folder of such files, as splits.

    Emits a UserWarning for each column that is ignored or has missing values.

    Args:
        path: see `dlcore.data.own.cells.read`.
        target, task: see `splits_of`.

    Returns:
        Splits as of `splits_of`.

    Raises:
        UsageError: as `dlcore.data.own.cells.read` or `splits_of`.
    """
    splits = splits_of(read(path), target, task, path.name, VERSION)
    for column in splits.facts.columns:
        if column["kind"] == "ignored" or column["missing"]:
            words = columns.described(column)
            warnings.warn(f"{path}: column {column['name']!r} is {words}", stacklevel=2)
    return splits


def splits_of(table: Cells, target: str, task: Task, name: str, version: str) -> Splits:
    """Converts a table to splits of inputs and targets.

    Rows are split by their files, or by a column `split`; validation and test that are not given
    are cut from train, a tenth each, by the hash of the row, so that adding rows moves none.

    Args:
        table: cells of text.
        target: the column to predict.
        task: whether it holds classes or numbers. auto: classes if a cell is no number, or if its
            cells are at most ten different whole numbers.
        name, version: of the data, for the `info` of the splits.

    Returns:
        Splits of `Rows` with `x` float32 [inputs] (see `dlcore.data.own.columns`), and `label`
        int32, an index in `classes`, or `target` float32, standardised by the training split.
        Facts: `columns`, descriptions of all columns but the target and `split`; `inputs`, the
        names of the values of `x`; `target`, the column; `task`, "classes" or "number"; `classes`,
        the names in ascending order (as numbers if all are; 1, 1.0 and 01 are one class), [] for
        numbers, and `class_counts` of the training split; `mean` and `deviation` of numbers in the
        training split.

    Raises:
        UsageError: no such column; an empty target; one class, or one number only; a class that
            train lacks; a target or input of numbers with a cell that is none, with decimal commas,
            or with numbers too large to standardise; a column `split` with another name of a split,
            or beside files that give splits; a split without rows; no column with an input.
    """
    if target not in table.columns:
        inputs = ", ".join(name for name in table.columns if name != SPLIT)
        raise UsageError(f"{table.name} has no column {target!r}: give --target one of {inputs}")
    aims, values, classes = _target(table, target, task)
    parts, called = _parts(table, target)
    found, encoded = _inputs(table, target, parts["train"])
    if classes:
        facts, aim = _classes(table, target, aims, parts)
        field, scaled = "label", aim.astype(np.int32)
    else:
        facts, aim = _numbers(table, target, values, parts["train"])
        field, scaled = "target", ((aim - facts.mean) / facts.deviation).astype(np.float32)
    made = {}
    for part, index in parts.items():
        contents = {"x": encoded.x[index], field: scaled[index]}
        of_part = sources.arrays(name, version, called[part], contents)
        cells = tuple(table.rows[i] for i in index)
        made[part] = Rows(of_part.arrays, of_part.info, table.columns, cells, aim[index])
    more = {"columns": found, "inputs": columns.names(found), "target": target}
    return Splits.of(made, facts=facts.with_facts(**more))


def described(facts: Facts) -> list[tuple[str, str]]:
    """Returns (column, description) of every column and, last, of the target, as text for a person.

    Args:
        facts: of the splits that `splits_of` returns.
    """
    rows = [(column["name"], columns.described(column)) for column in facts.columns]
    if facts.task == "classes":
        counts = zip(facts.classes, facts.class_counts, strict=True)
        words = f"{len(facts.classes)} classes: " + ", ".join(f"{n} {c}" for n, c in counts)
    else:
        words = f"number, mean {facts.mean:.4g}, deviation {facts.deviation:.4g}"
    return [*rows, (facts.target, f"the target: {words}")]


def _inputs(table: Cells, target: str, train: np.ndarray) -> tuple[list[Column], columns.Encoded]:
    """The columns besides the target, and all rows as inputs."""
    cells = {name: table.column(name) for name in table.columns if name not in (target, SPLIT)}
    found = [columns.recognised(name, each, table.where, train) for name, each in cells.items()]
    if all(column["kind"] == "ignored" for column in found):
        reasons = ", ".join(f"{each['name']} ({each['reason']})" for each in found) or "no other"
        raise UsageError(f"{table.name} has no column to predict {target!r} from: {reasons}")
    return found, columns.encode(found, cells, table.where)


def _parts(table: Cells, target: str) -> tuple[split.Parts, dict[str, str]]:
    """The indices of each split, and the name of each split for `Info`."""
    given = _given(table, target)
    rows = {name: np.array([i for i, each in enumerate(given) if each == name]) for name in SPLITS}
    missing = [name for name in SPLITS[1:] if not len(rows[name])]
    if not len(rows["train"]):
        raise UsageError(f"{table.name} has no row for train: mark some in the column {SPLIT!r}")
    left_out = table.columns.index(SPLIT) if SPLIT in table.columns and target != SPLIT else -1
    keys = []
    for i in rows["train"]:
        row = [cell for at, cell in enumerate(table.rows[i]) if at != left_out]
        keys.append(json.dumps(row, ensure_ascii=False))
    fractions = {name: 0.1 if name in missing else 0.0 for name in SPLITS[1:]}
    cut = split.by_hash(keys, **fractions)
    for name in ("train", *missing) if missing else ():
        if not len(cut[name]):
            raise UsageError(
                f"{table.name}: of its {len(keys)} rows the hash puts none into {name}: add rows,"
                f" or a column {SPLIT!r} of {', '.join(SPLITS)}"
            )
    every = rows["train"]
    chosen = {"train": every[cut["train"]], **{name: every[cut[name]] for name in missing}}
    called = {name: f"{name} by hash" if name in missing else name for name in SPLITS}
    return {name: chosen.get(name, rows[name]) for name in SPLITS}, called


def _given(table: Cells, target: str) -> Sequence[str]:
    """The split of each row, given by files or by a column; train for all rows where neither is."""
    by_column = SPLIT in table.columns and target != SPLIT
    if table.split and by_column:
        raise UsageError(f"{table.where[0]}: the files give the splits: leave out column {SPLIT!r}")
    if not by_column:
        return table.split or ["train"] * len(table.rows)
    for cell, where in zip(table.column(SPLIT), table.where, strict=True):
        if cell not in SPLITS:
            raise UsageError(
                f"{where}: {cell!r} in column {SPLIT!r} is none of {', '.join(SPLITS)}: mend it, or"
                " rename the column"
            )
    return table.column(SPLIT)


def _target(table: Cells, target: str, task: Task) -> tuple[list[str], list[float | None], bool]:
    """The cells of the target, their numbers if they are numbers, and whether they are classes."""
    cells = table.column(target)
    empty = [i for i, cell in enumerate(cells) if columns.is_missing(cell)]
    if empty:
        more = f" ({len(empty)} rows)" if len(empty) > 1 else ""
        raise UsageError(
            f"{table.where[empty[0]]}: the target {target!r} is {cells[empty[0]] or 'empty'!r}"
            f"{more}: fill it in, or remove the row"
        )
    if task != "classes":
        columns.refuse_commas(target, cells, table.where, "; or take --task classes")
    values = [columns.number(cell) for cell in cells]
    whole = all(value is not None and value == int(value) for value in values)
    few = whole and len({*values}) <= _MOST_CLASSES
    classes = task == "classes" or (task == "auto" and (few or None in values))
    if classes and whole:  # 1, 1.0 and 01 are one class
        cells = [str(int(value or 0)) for value in values]
    if len({*cells}) == 1:
        kind = "one class only" if classes else "one number only"
        raise UsageError(f"{table.name}: the target {target!r} has {kind}, {cells[0]!r}")
    return cells, values, classes


def _numbers(
    table: Cells, target: str, values: Sequence[float | None], train: np.ndarray
) -> tuple[Facts, np.ndarray]:
    """Facts of a target of numbers, and its values, float64 [N]."""
    if None in values:
        at = values.index(None)
        raise UsageError(
            f"{table.where[at]}: the target {target!r} is {table.column(target)[at]!r}, which is no"
            " finite number: mend it, or take --task classes"
        )
    found = np.array(values, np.float64)
    known = found[train]
    # the deviation of equal numbers is not always 0: their mean is rounded
    if known.min() == known.max():
        raise UsageError(
            f"{table.name}: the target {target!r} is {known[0]:g} in all rows of train"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = float(known.mean()), float(known.std())
    if not math.isfinite(deviation) or not deviation:
        size = "small" if not deviation else "large"
        raise UsageError(f"{table.name}: the target {target!r} has numbers too {size}: scale them")
    return Facts(task="number", classes=[], mean=mean, deviation=deviation), found


def _classes(
    table: Cells, target: str, cells: Sequence[str], parts: split.Parts
) -> tuple[Facts, np.ndarray]:
    """Facts of a target of classes, and their indices, float64 [N]."""
    there = {cells[i] for i in parts["train"]}
    numeric = all(columns.number(each) is not None for each in there)
    names = sorted(there, key=float) if numeric else sorted(there)
    for name in SPLITS[1:]:
        if lacking := [i for i in parts[name] if cells[i] not in there]:
            raise UsageError(
                f"{table.where[lacking[0]]}: the class {cells[lacking[0]]!r} of {name} does not"
                f" occur in train ({len(lacking)} row{'' if len(lacking) == 1 else 's'}): add rows"
                " of it, or remove these"
            )
    if len(names) == 1:
        raise UsageError(f"{table.name}: the target {target!r} has one class in train, {names[0]}")
    position = {name: i for i, name in enumerate(names)}
    found = np.array([position[cell] for cell in cells], np.float64)
    counts = np.bincount(found[parts["train"]].astype(int), minlength=len(names))
    return Facts(task="classes", classes=names, class_counts=counts.tolist()), found
