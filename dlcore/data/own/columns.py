"""Columns of a table as inputs of a network: their kinds, statistics and categories, as facts.

A column is a dict of plain JSON, with its `name` and its `kind`:
    number: `mean` and `deviation` of the training split; its input is standardised by them. A
        missing value is the mean; with `indicator` a second input is 1 where it is missing.
    category: `categories`, of the training split, the most frequent first, at most `MOST`; one
        input for each, 1 for the category of the row. With `indicator` a further input is 1 where
        it is missing. All inputs are 0 for a category that is not in the list; `rare` is the number
        of categories that `MOST` leaves out.
    ignored: has no input, for its `reason`.
All have `missing`: the number of rows of the training split that have no value.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

import numpy as np
from jaxtyping import Float, Integer

from dlcore.errors import UsageError


class Column(TypedDict, total=False):
    """A column as plain JSON; which keys it has depends on its kind, see this module.

    Attributes:
        name: of the column.
        kind: "number", "category" or "ignored"; in summaries also "damaged", for a column that
            cannot be read.
        missing: number of training rows without a value.
        indicator: whether an input marks missing values.
        mean, deviation: of numbers, in the unit of the column; 1 in place of a deviation of 0.
        categories: those with an input, the most frequent first.
        rare: number of categories without an input.
        reason: why the column is ignored.
    """

    name: str
    kind: Literal["number", "category", "ignored", "damaged"]
    missing: int
    indicator: bool
    mean: float
    deviation: float
    categories: list[str]
    rare: int
    reason: str


MISSING = frozenset(("", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "null", "none", "?"))
"""Cells that stand for a missing value, in lower case."""
MOST = 256  # categories of a column that have an input of their own
_INDEX = "__index_level_"  # begins the name that pandas gives an index in Parquet
_WRONG = 10  # a column is numeric if at most one in so many cells is not a number
_FEW = 20  # at most so many different texts are categories, even where each occurs once


def is_missing(cell: str) -> bool:
    """Returns whether a cell stands for a missing value: one of `MISSING`, in any case."""
    return cell.lower() in MISSING


def number(cell: str) -> float | None:
    """Parses a cell as a finite number; None if it is not one."""
    try:
        value = float(cell) if "_" not in cell else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def recognised(
    name: str, cells: Sequence[str], where: Sequence[str], train: Integer[np.ndarray, " rows"]
) -> Column:
    """Recognises the kind of a column, and computes its statistics or categories.

    A column holds numbers if every cell that is not missing is a number, else categories. It is
    ignored if its training rows have no value, or all of them the same value; and, of categories,
    if there are more of them than 20 and than half of the training rows that have a value.

    Args:
        name: of the column.
        cells: of all rows.
        where: file and line of each row.
        train: indices of the training rows, from which alone statistics and categories are
            computed.

    Raises:
        UsageError: a cell that is not a number in a column where more than nine tenths of those
            with a value are, decimal commas (`refuse_commas`), numbers whose standard deviation
            overflows, or a column that is the index of pandas.
    """
    if name.startswith(_INDEX):
        raise UsageError(
            f"{where[0]}: {name!r} is the index of pandas and no column: leave it out"
            " (to_parquet(..., index=False))"
        )
    refuse_commas(name, cells, where)
    present = [i for i, cell in enumerate(cells) if not is_missing(cell)]
    wrong = [i for i in present if number(cells[i]) is None]
    if wrong and _WRONG * len(wrong) <= len(present):
        raise UsageError(
            f"{where[wrong[0]]}: {cells[wrong[0]]!r} in column {name!r} is no finite number, and"
            f" {len(present) - len(wrong)} of its {len(present)} cells are: mend it, or leave it"
            " empty for a missing value"
        )
    known = [cells[i] for i in train if not is_missing(cells[i])]
    missing = len(train) - len(known)
    if not known:
        return _ignored(name, missing, "no value in the training split")
    if len({*known}) == 1 and not missing:
        return _ignored(name, missing, "one value in the whole training split")
    if wrong:
        return _category(name, known, missing)
    values = np.array([number(cell) for cell in known], np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = float(values.mean()), float(values.std())
    if not math.isfinite(deviation):
        raise UsageError(f"{where[0]}: the numbers of column {name!r} are too large: scale them")
    # the deviation of equal numbers is not always 0: their mean is rounded
    if values.min() == values.max() or not deviation:
        deviation = 1.0
    found: Column = {"name": name, "kind": "number", "mean": mean, "deviation": deviation}
    return {**found, "missing": missing, "indicator": missing > 0}


def refuse_commas(name: str, cells: Sequence[str], where: Sequence[str], more: str = "") -> None:
    """Refuses numbers with decimal commas, which would be texts.

    Args:
        name: of the column.
        cells: of all rows.
        where: file and line of each row.
        more: further advice for the message, such as "; or ...".

    Raises:
        UsageError: at least nine tenths of the cells with a value are numbers where a comma is read
            as a decimal point, and some have one.
    """
    present = [i for i, cell in enumerate(cells) if not is_missing(cell)]
    read = [i for i in present if number(cells[i].replace(",", ".", 1)) is not None]
    commas = [i for i in read if "," in cells[i]]
    if commas and _WRONG * (len(present) - len(read)) <= len(present):
        cell = cells[commas[0]]
        raise UsageError(
            f"{where[commas[0]]}: {cell!r} in column {name!r} is a number with a comma, as"
            f" {len(commas)} of its {len(present)} cells are: write a decimal point"
            f" ({cell.replace(',', '.')}), and nothing between thousands{more}"
        )


def _category(name: str, known: Sequence[str], missing: int) -> Column:
    counts = collections.Counter(known)
    if len(counts) > max(_FEW, len(known) / 2):
        return _ignored(name, missing, f"{len(counts)} different texts in {len(known)} rows")
    order = sorted(counts, key=lambda each: (-counts[each], each))
    found: Column = {"name": name, "kind": "category", "categories": order[:MOST]}
    return {**found, "missing": missing, "indicator": missing > 0, "rare": len(order[MOST:])}


def _ignored(name: str, missing: int, reason: str) -> Column:
    return {"name": name, "kind": "ignored", "reason": reason, "missing": missing}


def names(columns: Sequence[Column]) -> list[str]:
    """Returns the names of the inputs, in the order of `Encoded.x`.

    A column of numbers has one input, "age"; one of categories an input for each, "colour = red";
    and where `indicator` is true another one follows, "age is missing". Others have none.
    """
    found = []
    for column in columns:
        if column["kind"] == "number":
            found.append(column["name"])
        elif column["kind"] == "category":
            found += [f"{column['name']} = {each}" for each in column["categories"]]
        if column.get("indicator"):
            found.append(f"{column['name']} is missing")
    return found


@dataclasses.dataclass(frozen=True)
class Encoded:
    """Rows as inputs of a network.

    Attributes:
        x: float32 [rows, inputs], in the order of `names`.
        missing: for each row the columns that have no value.
        unknown: for each row {column: category} of categories that have no input.
    """

    x: Float[np.ndarray, "rows inputs"]
    missing: list[list[str]]
    unknown: list[dict[str, str]]


def encode(
    columns: Sequence[Column], cells: Mapping[str, Sequence[str]], where: Sequence[str]
) -> Encoded:
    """Encodes rows as inputs of a network.

    Args:
        columns: as `recognised` returned them.
        cells: {column: cells of all rows} of the columns that are not ignored.
        where: file and line of each row.

    Returns:
        The rows. A missing number is 0 in `x`, its mean, since numbers are standardised; a missing
        or unknown category is 0 in the inputs of all categories. The indicator, if the column has
        one, is 1 where the value is missing, else 0.

    Raises:
        UsageError: a cell that is not a number in a column of numbers.
    """
    found = Encoded(np.zeros((len(where), 0)), [[] for _ in where], [{} for _ in where])
    parts = [np.zeros((len(where), 0))]
    for column in columns:
        if column["kind"] != "ignored":
            fill = _numbers if column["kind"] == "number" else _one_hot
            parts.append(fill(column, cells[column["name"]], where, found))
    return dataclasses.replace(found, x=np.concatenate(parts, 1).astype(np.float32))


def _numbers(
    column: Column, cells: Sequence[str], where: Sequence[str], found: Encoded
) -> np.ndarray:
    part = np.zeros((len(cells), 1 + column["indicator"]))
    for row, cell in enumerate(cells):
        if is_missing(cell):
            part[row, 1:] = 1
            found.missing[row].append(column["name"])
        elif (value := number(cell)) is not None:
            part[row, 0] = (value - column["mean"]) / column["deviation"]
        else:
            raise UsageError(
                f"{where[row]}: {cell!r} in column {column['name']!r} is no finite number: mend it,"
                " or leave it empty for a missing value"
            )
    return part


def _one_hot(
    column: Column, cells: Sequence[str], where: Sequence[str], found: Encoded
) -> np.ndarray:
    position = {category: i for i, category in enumerate(column["categories"])}
    part = np.zeros((len(cells), len(position) + column["indicator"]))
    for row, cell in enumerate(cells):
        if is_missing(cell):
            part[row, len(position) :] = 1
            found.missing[row].append(column["name"])
        elif cell in position:
            part[row, position[cell]] = 1
        else:
            found.unknown[row][column["name"]] = cell
    return part


def described(column: Column) -> str:
    """Describes a column that is not "damaged" as text for a person."""
    if column["kind"] == "ignored":
        return f"ignored: {column['reason']}"
    if column["kind"] == "number":
        mean, deviation = column["mean"], column["deviation"]
        words, stand_in = f"number, mean {mean:.4g}, deviation {deviation:.4g}", "the mean"
    else:
        listed = column["categories"]
        shown = ", ".join(listed[:5]) + (", ..." if len(listed) > 5 else "")
        rare = f", {column['rare']} rare ones without an input" if column["rare"] else ""
        words, stand_in = f"{len(listed)} categories ({shown}){rare}", "a category of its own"
    missing = column["missing"]
    rows = f"training row{'' if missing == 1 else 's'}"
    return words + (f"; {missing} {rows} without a value: {stand_in}" if missing else "")
