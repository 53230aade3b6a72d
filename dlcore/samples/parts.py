"""The parts of which samples consist: what the report can draw, with their fields and limits.

A part is a JSON object that names its form under "part":

    pictures  PNGs and GIF animations in a grid: columns, width, height, outside (number of clipped
              values), images [{file, caption (optional), right (optional: a correct prediction)}]
    audio     a WAV file: file, caption, outside
    text      file (or text, inline), spans [{start, end, label, colour}]
    table     header, rows of strings and numbers
    plot      x, y (labels of the axes), log_x, log_y, series [{name, points, x, y}], null for a gap
    svg       a vector drawing: file, caption; it is cleaned when it is written and when it is drawn
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, TypeGuard

import numpy as np

Part = dict[str, Any]

AXIS_LIMIT = 1e100  # largest magnitude on an axis: differences of such numbers stay finite
PLOT_VALUES = 200_000  # points of one plot; larger data belong in a file of their own
SERIES_VALUES = 50_000  # points of a series that `evenly` chooses
TEXT_SPANS = 10_000  # marked spans of one text
COLOURS = 10  # of spans and series; beyond, they repeat
MARKS = ("prompt", "right", "wrong")  # colours of spans that carry a meaning
SUFFIXES = {
    "pictures": (".png", ".gif"),
    "audio": (".wav",),
    "text": (".txt",),
    "svg": (".svg",),
}


@dataclass(frozen=True)
class Series:
    """Points under one name, joined by a line or drawn one by one.

    Attributes:
        name: of the series.
        x, y: coordinates [N]; values that are not finite are gaps.
        points: whether points are drawn instead of a line.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    points: bool = False


@dataclass(frozen=True)
class Span:
    """A marked range of characters of a text.

    Attributes:
        start, end: first character, and the one after the last.
        label: name of the range.
        colour: a number (a class; colours repeat after ten), or "prompt", "right" or "wrong".
    """

    start: int
    end: int
    label: str = ""
    colour: int | str = 0


def evenly(count: int, label: str) -> tuple[np.ndarray, str]:
    """Chooses the points of a series with a point for each example, as many as a plot can show.

    Args:
        count: number of examples.
        label: of the series or the axis.

    Returns:
        Indices of all examples, or of `SERIES_VALUES` at equal distances where there are more; and
        the label, which then says how many of them are shown.
    """
    index = np.linspace(0, count - 1, min(count, SERIES_VALUES)).astype(int)
    return index, label if len(index) == count else f"{label}, {len(index):,} of {count:,} shown"


def problem(part: object) -> str | None:
    """Describes why an entry of an index cannot be drawn as a part; None for a valid part.

    Args:
        part: any JSON value.
    """
    if not isinstance(part, dict):
        return "unknown part None"
    name = part.get("part")
    if not isinstance(name, str) or name not in _CHECKS:
        return f"unknown part {name!r}"
    found = _CHECKS[name](part)
    if found is None:
        wrong = [file for file in file_names(part) if PurePath(file).suffix not in SUFFIXES[name]]
        return f"{wrong[0]!r} is not a file for {name}" if wrong else None
    return found


def file_names(part: Part) -> list[str]:
    """Returns the names of the files to which a valid part refers."""
    if part["part"] == "pictures":
        return [image["file"] for image in part["images"]]
    return [part["file"]] if part["part"] in SUFFIXES and "file" in part else []


def _pictures_problem(part: Part) -> str | None:
    images = part.get("images")
    if not _mappings(images) or not all(isinstance(i.get("file"), str) for i in images):
        return "pictures without file names"
    if not all(isinstance(i.get("caption", ""), str) for i in images):
        return "a caption that is not text"
    if not all(isinstance(i.get("right", True), bool) for i in images):
        return "a mark that is neither true nor false"
    sizes = [part.get(name, 1) for name in ("columns", "height", "width", "outside")]
    return None if all(type(value) is int for value in sizes) else "a size that is not an integer"


def _file_problem(part: Part) -> str | None:
    if not isinstance(part.get("file"), str):
        return f"{part['part']} without a file name"
    if not isinstance(part.get("caption", ""), str):
        return "a caption that is not text"
    return None if type(part.get("outside", 0)) is int else "a count that is not an integer"


def _text_problem(part: Part) -> str | None:
    if ("file" in part) == ("text" in part):
        return "text needs either a file or its characters"
    if not isinstance(part.get("file", part.get("text")), str):
        return "text without a file name"
    spans = part.get("spans", [])
    if not _mappings(spans) or len(spans) > TEXT_SPANS:
        return f"spans that are not a list of at most {TEXT_SPANS:,} objects"
    return None if all(map(_is_span, spans)) else "a span without start, end, label and colour"


def _is_span(span: Part) -> bool:
    start, end, colour = span.get("start"), span.get("end"), span.get("colour", 0)
    if type(start) is not int or type(end) is not int or not 0 <= start <= end:
        return False
    known = colour in MARKS if isinstance(colour, str) else type(colour) is int and colour >= 0
    return known and isinstance(span.get("label", ""), str)


def _table_problem(part: Part) -> str | None:
    header, rows = part.get("header"), part.get("rows")
    if not isinstance(header, list) or not all(isinstance(name, str) for name in header):
        return "a table without a header"
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        return "a table without rows"
    if not all(len(row) == len(header) for row in rows):
        return "a row whose cells do not match the header"
    cells = (cell for row in rows for cell in row)
    return None if all(type(cell) in (str, int, float) for cell in cells) else "a damaged cell"


def _plot_problem(part: Part) -> str | None:
    if not all(isinstance(part.get(axis), str) for axis in ("x", "y")):
        return "a plot whose axes have no labels"
    if not all(type(part.get(name, False)) is bool for name in ("log_x", "log_y")):
        return "a plot with an unknown scale"
    series = part.get("series")
    if not _mappings(series) or not all(isinstance(one.get("name"), str) for one in series):
        return "a plot without named series"
    if not all(type(one.get("points", False)) is bool for one in series):
        return "a series that is neither points nor a line"
    if not all(isinstance(one.get(axis), list) for one in series for axis in ("x", "y")):
        return "a series without numbers"
    lengths = [len(one["x"]) for one in series]
    if [len(one["y"]) for one in series] != lengths or sum(lengths) > PLOT_VALUES:
        return "a series of unequal length, or too long"
    values = (value for one in series for axis in ("x", "y") for value in one[axis])
    return None if all(map(_fits_axis, values)) else "a series with a value that is not a number"


def _fits_axis(value: object) -> bool:
    return value is None or (type(value) in (int, float) and abs(value) <= AXIS_LIMIT)  # type: ignore[arg-type]


def _mappings(value: object) -> TypeGuard[list[Part]]:
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)


_CHECKS: dict[str, Callable[[Part], str | None]] = {
    "pictures": _pictures_problem,
    "audio": _file_problem,
    "text": _text_problem,
    "table": _table_problem,
    "plot": _plot_problem,
    "svg": _file_problem,
}
