"""User tables as cells of text: CSV, TSV and Parquet, with the file and line of each row."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from dlcore.data.own import files, table_files
from dlcore.errors import UsageError

SUFFIXES = (".csv", ".tsv", ".parquet")


@dataclasses.dataclass(frozen=True)
class Cells:
    """A table of text.

    Attributes:
        name: its name in messages, such as its path.
        columns: the names of the columns, all different.
        rows: the cells of each row, stripped, one per column.
        where: "FILE, line N" of each row; of Parquet "FILE, row N".
        split: the split of each row, where files give splits; else ().
    """

    name: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    where: Sequence[str]
    split: Sequence[str] = ()

    def column(self, name: str) -> list[str]:
        """Returns the cells of a column, one per row.

        Args:
            name: of the column.

        Raises:
            UsageError: there is no such column.
        """
        if name not in self.columns:
            raise UsageError(
                f"{self.name} has no column {name!r}: it has {', '.join(self.columns)}"
            )
        at = self.columns.index(name)
        return [row[at] for row in self.rows]


def read(path: Path) -> Cells:
    """Reads the table of a file, or of the files of a folder (`dlcore.data.own.files.grouped`).

    Args:
        path: .csv, separated by commas, or by semicolons where its first line has semicolons and no
            comma, whose cells may be quoted; .tsv, separated by tabs, whose cells are not quoted;
            or .parquet, which needs pyarrow. The first line has the names of the columns. Of text,
            rows whose cells are all empty are left out.

    Raises:
        UsageError: no file, another suffix or encoding, no header, a column without a name or with
            that of another, a row with too many or too few cells, faulty quotes (`records`), no
            rows, or files with different columns; as of `files.grouped`; of Parquet no pyarrow, a
            damaged file, or a column of lists or bytes.
    """
    by_split, given = files.grouped(path, SUFFIXES)
    parts = [(split, _file(file)) for split, paths in by_split.items() for file in paths]
    _, first = parts[0]
    if wrong := [part.name for _, part in parts if part.columns != first.columns]:
        raise UsageError(
            f"{wrong[0]} has other columns than {first.name}: give all files the same, in one order"
        )
    return Cells(
        str(path),
        first.columns,
        [row for _, part in parts for row in part.rows],
        [where for _, part in parts for where in part.where],
        [split for split, part in parts for _ in part.rows] if given else (),
    )


def _file(path: Path) -> Cells:
    if path.suffix.lower() == ".parquet":
        return _parquet(path)
    return parse(files.text(path), str(path), "\t" if path.suffix.lower() == ".tsv" else "")


def parse(text: str, name: str, delimiter: str = "") -> Cells:
    """Parses a text whose first line has the names of the columns.

    Args:
        text: the table.
        name: its name in messages.
        delimiter: between cells, which are quoted unless it is a tab; "": a comma or a semicolon,
            see `read`.

    Raises:
        UsageError: see `read`.
    """
    header, rest = _header(text, name, delimiter)
    advice = table_files.separator_advice(delimiter == "\t")
    rows, where = [], []
    for line, cells in rest:
        if not any(cells):  # an empty line
            continue
        if len(cells) != len(header):
            raise UsageError(
                f"{name}, line {line}: {len(cells)} cells, and line 1 names {len(header)} columns:"
                f" {advice}, and leave none out"
            )
        rows.append(cells)
        where.append(f"{name}, line {line}")
    if not rows:
        raise UsageError(f"{name} has no rows under its first line: add some")
    return Cells(name, header, rows, where)


def records(text: str, name: str, delimiter: str = "") -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yields (number of its first line, cells) of each row of a text, the header included.

    Args:
        text, name, delimiter: as of `parse`. Cells are stripped.

    Raises:
        UsageError: an unclosed quote, or text after a closing quote.
    """
    for line, cells in table_files.records(text, name, delimiter):
        yield line, tuple(cell.strip() for cell in cells)


def _header(
    text: str, name: str, delimiter: str
) -> tuple[tuple[str, ...], Iterator[tuple[int, tuple[str, ...]]]]:
    rest = records(text, name, delimiter)
    _, header = next(rest, (1, ()))
    if not any(header):
        raise UsageError(f"{name} is empty: its first line must name the columns")
    check_names(header, f"{name}, line 1")
    return header, rest


def check_names(names: Sequence[str], where: str) -> None:
    """Checks the names of columns.

    Args:
        names: of the columns, at least one.
        where: file and line, for messages.

    Raises:
        UsageError: an empty or repeated name, or numbers in place of all names.
    """
    if all(_is_number(name) for name in names):
        raise UsageError(
            f"{where}: {', '.join(names[:3])} are no names of columns: add a first line that names"
            " them"
        )
    for number, name in enumerate(names, 1):
        if not name:
            raise UsageError(
                f"{where}: column {number} has no name: name it, or leave it out (of pandas:"
                " to_csv(..., index=False))"
            )
        if name in names[: number - 1]:
            raise UsageError(f"{where}: two columns are called {name!r}: rename one")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _parquet(path: Path) -> Cells:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UsageError(
            f"{path}: Parquet files need pyarrow: pip install 'dlcore[parquet]', or save it as CSV"
        ) from error
    try:
        table = pyarrow.parquet.read_table(io.BytesIO(path.read_bytes()))
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as Parquet: {error}") from error
    names = tuple(name.strip() for name in table.column_names)
    check_names(names, str(path))
    columns = []
    for name, column in zip(names, table.columns, strict=True):
        kind = column.type
        if pyarrow.types.is_nested(kind) or pyarrow.types.is_binary(kind):
            raise UsageError(f"{path}: column {name!r} holds {kind}: leave it out")
        columns.append([as_text(value) for value in column.to_pylist()])
    rows = list(zip(*columns, strict=True))
    if not rows:
        raise UsageError(f"{path} has no rows: add some")
    return Cells(str(path), names, rows, [f"{path}, row {i}" for i in range(1, len(rows) + 1)])


def as_text(value: object) -> str:
    """Converts a value of Python or Parquet to the text of a CSV cell; "" for None and NaN."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value).strip()
