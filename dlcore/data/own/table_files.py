"""User tables: CSV, TSV and JSON lines, with the file and line of each fault, and their splits."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from dlcore.data.own import files
from dlcore.data.own.found import SPLITS, Example, Found
from dlcore.data.tokens import without_surrogates
from dlcore.errors import UsageError

TABLES = (".csv", ".tsv", ".jsonl")
_NAMES = ("label", "split")  # columns of names, in which blanks at the ends mean nothing


def rows(
    path: Path, columns: Sequence[str], optional: Sequence[str], problems: list[str]
) -> list[Example]:
    """Reads the rows of a table with a header, or of JSON lines, as examples.

    The `values` of an example are those of `columns`, then those of `optional` ("" for a missing
    one), as they are written; of label and split without blanks at their ends.

    Args:
        path: .csv (cells may be quoted; separated by commas, or by semicolons where its first line
            has semicolons and no comma), .tsv (no quotes), or .jsonl (one object per line).
        columns: required columns; a row in which one is empty is a problem, and of .jsonl an object
            that lacks one.
        optional: further columns.
        problems: faults of single rows are appended to it; these rows are left out.

    Raises:
        UsageError: a column that the header of .csv or .tsv lacks, another encoding, or not a
            table.
    """
    if path.suffix.lower() == ".jsonl":
        found = objects(path, problems)
    else:
        names, found = table(path, problems)
        if missing := [name for name in columns if name not in names]:
            raise UsageError(
                f"{path}, line 1: there is no column {missing[0]!r}; there are"
                f" {', '.join(names)}: rename one"
            )
    examples = []
    for line, row in found:
        where = f"{path}, line {line}"
        if missing := [name for name in columns if name not in row]:
            there = ", ".join(row) or "nothing"
            problems.append(f"{where}: there is no {missing[0]!r}, but {there}: add it")
        elif empty := [name for name in columns if not row[name].strip()]:
            problems.append(f"{where}: {empty[0]!r} is empty: fill it in, or remove the line")
        else:
            cells = {name: row.get(name, "") for name in (*columns, *optional)}
            values = (cell.strip() if name in _NAMES else cell for name, cell in cells.items())
            examples.append(Example(where, tuple(values)))
    return examples


def table(
    path: Path, problems: list[str]
) -> tuple[list[str], Iterator[tuple[int, dict[str, str]]]]:
    """Reads the header of a .csv or .tsv file, and returns an iterator over its rows.

    Args:
        path: .csv or .tsv, with the separators and quotes that `rows` describes.
        problems: while the rows are iterated over, a message is appended for each row with too many
            or too few cells, which is left out, and for faulty quotes, which end the iteration.

    Returns:
        The names of the columns; and an iterator over (number of its first line in the file, where
        the header is line 1; {column: cell}) of each row that is not empty.

    Raises:
        UsageError: the file cannot be read or is not UTF-8, its first line is empty, the header has
            faulty quotes, or two columns have the same name.
    """
    found = records(files.text(path), str(path), "\t" if path.suffix.lower() == ".tsv" else "")
    _, names = next(found, (1, []))
    if not names:
        raise UsageError(f"{path} is empty: its first line must name the columns")
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"{path}, line 1: two columns are called {twice[0]!r}: rename one")
    return names, _named(path, names, found, problems)


def records(text: str, name: str, delimiter: str = "") -> Iterator[tuple[int, list[str]]]:
    """Yields (number of its first line, cells) of each row of a text, the header included.

    Lines are numbered from 1. An empty line is a row without cells; line ends inside quotes are
    kept.

    Args:
        text: CSV or TSV.
        name: its name in messages, such as its path.
        delimiter: between cells; if it is a tab, quotes are ordinary characters; "": the semicolon
            if the first line has one and no comma, else the comma.

    Raises:
        UsageError: when a row is reached with an unclosed quote, or with text after a closing
            quote.
    """
    csv.field_size_limit(2**31 - 1)  # Python's limit of a cell is 131,072 characters
    first = text.partition("\n")[0]
    separator = delimiter or (";" if ";" in first and "," not in first else ",")
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        strict=True,
        quoting=csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL,
    )
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UsageError(
                f"{name}, line {line}: {error}: mend the quotes of this line"
            ) from error
        yield line, cells


def separator_advice(tabs: bool) -> str:
    """Returns advice for messages: how to write a cell that contains the separator.

    Args:
        tabs: whether cells are separated by tabs, and so cannot be quoted.
    """
    return "remove tabs from its cells" if tabs else "quote a cell with the separator"


def _named(
    path: Path,
    names: Sequence[str],
    found: Iterator[tuple[int, list[str]]],
    problems: list[str],
) -> Iterator[tuple[int, dict[str, str]]]:
    tabs = path.suffix.lower() == ".tsv"
    try:
        for line, cells in found:
            if len(cells) == len(names):
                yield line, dict(zip(names, cells, strict=True))
            elif cells:
                problems.append(
                    f"{path}, line {line}: {len(cells)} cells under {len(names)} columns:"
                    f" {separator_advice(tabs)}"
                )
    except UsageError as error:  # faulty quotes
        problems.append(str(error))


def objects(path: Path, problems: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields (line number from 1, {key: text}) of each line of JSON that is not blank.

    Numbers and booleans are converted to text; keys whose value is null, a list or an object are
    left out.

    Args:
        path: a .jsonl file.
        problems: a message is appended for each line that is no JSON object; it is left out.

    Raises:
        UsageError: the file cannot be read or is not UTF-8.
    """
    for number, line in enumerate(files.lines(path), 1):
        if not line.strip():
            continue
        try:
            found = files.parse(line)
        except ValueError as error:
            problems.append(f"{path}, line {number}: {error}: a line is one JSON object")
            continue
        if not isinstance(found, dict):
            problems.append(f"{path}, line {number}: a {type(found).__name__}, and no JSON object")
            continue
        yield (
            number,
            {
                key: value if isinstance(value, str) else json.dumps(value)
                for key, value in found.items()
                if value is not None and not isinstance(value, dict | list)
            },
        )


def of_tables(path: Path, columns: Sequence[str]) -> Found:
    """Reads the rows of one or several tables by split, as examples.

    Splits are given by the names of files or folders (`files.grouped`) or by a column `split`, not
    by both. Without either all rows are train's, as are rows whose cell in that column is empty.

    Args:
        path: a .csv, .tsv or .jsonl file, or a folder of them.
        columns: names of the columns (or keys) whose cells are the `values` of an example.

    Returns:
        The examples of the rows without faults; faults of files and rows, such as a missing column
        or an empty cell, are in its `problems`.

    Raises:
        UsageError: as `files.grouped`, such as a path that does not exist.
    """
    found = Found(path)
    files_by_split, given = files.grouped(path, TABLES)
    for split, tables in files_by_split.items():
        for file in tables:
            try:
                examples = rows(file, columns, ["split"], found.problems)
            except UsageError as error:
                found.problems.append(str(error))
                continue
            for example in examples:
                if both := with_split(example, split, given, found.problems):
                    found.splits.setdefault(both[0], []).append(both[1])
    if not found.problems and not found.splits.get("train"):
        found.problems.append(f"{path} has no examples for train: add some")
    return found


def with_split(
    example: Example, split: str, named: bool, problems: list[str]
) -> tuple[str, Example] | None:
    """Returns the split of an example, and the example without its last value, the column `split`.

    Args:
        example: its last value names its split; "": none.
        split: of its file.
        named: whether the file's name is that of a split, so that the column may not name one.
        problems: a message is appended for another split, and for halves of characters; then
            None is returned.
    """
    *values, own = example.values
    if own and own not in SPLITS:
        problems.append(f"{example.where}: the split {own!r} is none of {', '.join(SPLITS)}")
        return None
    if own and named:
        problems.append(f"{example.where}: a column `split` in a file for {split}: remove it")
        return None
    try:
        found = tuple(without_surrogates(value) for value in values)
    except UsageError as error:
        problems.append(f"{example.where}: {error}")
        return None
    return own or split, dataclasses.replace(example, values=found)
