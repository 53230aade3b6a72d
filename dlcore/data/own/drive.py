"""A user's recorded drive: a table of frames and steering, as the Udacity simulator writes it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from dlcore.data.own import columns, files, image_cache, images, table_files
from dlcore.data.own.found import Example, Found
from dlcore.data.source import Arrays
from dlcore.errors import UsageError

LOG, FRAMES = "driving_log.csv", "IMG"
PARTS = {"train": (0.0, 0.7), "validation": (0.7, 0.8), "test": (0.8, 1.0)}  # of the time
COLUMNS = ("center", "left", "right", "steering", "throttle", "brake", "speed")
_IMAGE = ("center", "frame", "image", "path")  # columns that may name the frame


def load(path: Path, shape: Sequence[int]) -> tuple[Arrays, np.ndarray]:
    """Reads the frames of a drive in their order, decoded once into the cache.

    Args:
        path: a folder with driving_log.csv and its frames in IMG, or such a table: .csv or .tsv
            with `steering`, and `center` (or frame, image, path), a file relative to the table or
            in IMG beside it. The simulator's own table without a header is read too.
        shape: [height, width, channels] of the arrays; frames of other sizes are resized.

    Returns:
        A source with `image` uint8 [frames, *shape], and the steering, float32 [frames].

    Raises:
        UsageError: no table, missing columns, frames or numbers (by file and line), no rows, or
            steering that never changes.
    """
    found = find(path)
    found.refuse()
    table, examples = table_of(path), found.splits["train"]
    names = [str(number) for number in range(len(examples))]
    named = [
        Example(example.where, (example.values[0], name))
        for example, name in zip(examples, names, strict=True)
    ]
    source = image_cache.decoded(table.resolve().parent.name, "drive", named, names, shape)
    return Arrays({"image": source.arrays["image"]}, source.info), steering_of(examples)


def table_of(path: Path) -> Path:
    """Returns the table of a path, see `load`.

    Raises:
        UsageError: there is none.
    """
    table = path / LOG if path.is_dir() else path
    if not table.is_file():
        raise UsageError(
            f"{table}: there is no such table: give a folder with {LOG} and its frames in {FRAMES},"
            " or a .csv file with frame and steering"
        )
    return table


def steering_of(examples: Sequence[Example]) -> np.ndarray:
    """Returns the steering of examples of `find`, float32 [examples]."""
    return np.array([float(example.values[1]) for example in examples], np.float32)


def find(path: Path) -> Found:
    """Finds the frames of a drive; the `values` of an example are (file, steering), both texts.

    All are under "train", in the order of rows; callers cut them by `PARTS`. `problems` has faults.

    Args:
        path: as of `load`.

    Raises:
        UsageError: no table, one that cannot be read, or one without the columns of `load`.
    """
    table, found = table_of(path), Found(path)
    found.splits["train"] = examples = [
        Example(f"{table}, line {line}", (str(file), repr(value)))
        for line, file, value in _listed(table, found.problems)
    ]
    if not found.problems and np.ptp(steering := steering_of(examples)) == 0:
        found.problems.append(
            f"{table}: steering is {steering[0]:g} in all {len(examples)} rows: there is nothing to"
            " learn"
        )
    return found


def frames(path: Path) -> list[Path]:
    """Returns the centre images of a drive in the order of its table, also those that are missing.

    Args:
        path: as of `load`; the steering is not read.

    Raises:
        UsageError: no table, one without the columns of `load`, no rows, or one of other cells.
    """
    found, table = Found(path), table_of(path)
    listed = [_frame(table, cell) for _, cell, _ in _rows(table, found.problems)]
    if not listed:
        found.problems.append(f"{table} has no rows: record a drive")
    found.refuse()
    return listed


def is_drive(table: Path) -> bool:
    """Returns whether a table has the columns of a drive, or is the simulator's without a header.

    Args:
        table: a file; only .csv and .tsv files can be drives.

    Raises:
        UsageError: a .csv or .tsv file that cannot be read.
    """
    if table.suffix.lower() not in (".csv", ".tsv"):
        return False
    if _lacks_header(table):
        return True
    names, _ = table_files.table(table, [])
    return "steering" in names and any(name in names for name in _IMAGE)


def _lacks_header(table: Path) -> bool:
    """Whether the first line of a table is a row as the simulator writes it."""
    first = next(iter(files.lines(table)), "").split(",")
    if len(first) != len(COLUMNS):
        return False
    return Path(first[0].strip()).suffix.lower() in images.SUFFIXES


def _listed(table: Path, problems: list[str]) -> list[tuple[int, Path, float]]:
    """The rows without faults; that there are none is a problem."""
    rows = list(_checked(table, _rows(table, problems), problems))
    if not problems and not rows:
        problems.append(f"{table} has no rows: record a drive")
    return rows


def _rows(table: Path, problems: list[str]) -> Iterator[tuple[int, str, str]]:
    """(line, cell of the frame, cell of the steering) of each row; other cells are a problem."""
    if _lacks_header(table):
        for line, row in _without_header(table, problems):
            yield line, row["center"], row["steering"]
        return
    names, rows = table_files.table(table, problems)
    column = next((name for name in _IMAGE if name in names), None)
    if column is None or "steering" not in names:
        missing = "steering" if column else " or ".join(_IMAGE)
        raise UsageError(
            f"{table}, line 1: there is no column {missing}; there are {', '.join(names)}: rename"
            " one"
        )
    for line, row in rows:
        yield line, row[column], row["steering"]


def _without_header(table: Path, problems: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, {column: cell}) of the simulator's own table."""
    for line, text in enumerate(files.lines(table), start=1):
        cells = text.split(",")
        if len(cells) == len(COLUMNS):
            yield line, dict(zip(COLUMNS, cells, strict=True))
        else:
            problems.append(
                f"{table}, line {line}: {len(cells)} cells, and the simulator writes"
                f" {len(COLUMNS)}: {', '.join(COLUMNS)}"
            )


def _checked(
    table: Path, rows: Iterator[tuple[int, str, str]], problems: list[str]
) -> Iterator[tuple[int, Path, float]]:
    """(line, frame, steering) of the rows whose frame is there and whose steering is a number."""
    for line, cell, steering in rows:
        file, value = _frame(table, cell), columns.number(steering)
        if not file.is_file():
            problems.append(f"{table}, line {line}: there is no file {file}: mend its path")
        elif value is None or not math.isfinite(value):
            problems.append(
                f"{table}, line {line}: steering {steering or 'nothing'!r} is no finite number"
            )
        else:
            yield line, file, float(value)


def _frame(table: Path, cell: str) -> Path:
    """The frame's file as it is named, or by its name in IMG, since drives are moved."""
    own = table.parent / cell.strip()
    if own.is_file():
        return own
    inside = table.parent / FRAMES / re.split(r"[\\/]", cell.strip())[-1]
    return inside if inside.is_file() else own
