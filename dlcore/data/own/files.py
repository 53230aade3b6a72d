"""User files: texts and tables, with the file and line of each fault, and their splits."""

from __future__ import annotations

import codecs
import csv
import dataclasses
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from dlcore.data.own.found import SPLITS, Example, Found
from dlcore.errors import UsageError

TABLES = (".csv", ".tsv", ".jsonl")
_JUNK = ("thumbs.db", "desktop.ini")  # what file managers leave in folders
_MARKS = {
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def visible(folder: Path) -> list[Path]:
    """Lists the contents of a folder by name, without hidden files and those of file managers."""
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name.lower() not in _JUNK
    )


def below(folder: Path) -> list[Path]:
    """Lists all visible files in a folder and its subfolders, sorted by path.

    Links to folders are followed, but for those to a folder that contains the link.
    """
    found = []
    for path in visible(folder):
        if path.is_symlink() and folder.resolve().is_relative_to(path.resolve()):
            continue
        found += below(path) if path.is_dir() else [path]
    return found


def grouped(path: Path, suffixes: Sequence[str] = ()) -> tuple[dict[str, list[Path]], bool]:
    """Groups the files of a path by split.

    Args:
        path: a file; or a folder of files, also in subfolders, whose splits are folders train,
            validation, test, or files with these names (train.csv, test.csv; train.de, train.en).
        suffixes: of the files that count; (): every file.

    Returns:
        {split: files}, all files under "train" where there are no splits; and whether the path
        gives splits.

    Raises:
        UsageError: no such path, no such files, files of splits but none for train, or other files
            or folders beside those of splits.
    """
    if not path.exists():
        raise UsageError(f"{path}: there is no such file or folder")
    if path.is_file():
        if suffixes and path.suffix.lower() not in suffixes:
            raise UsageError(f"{path} is none of {', '.join(suffixes)}: name such a file")
        return {"train": [path]}, False
    kinds = f" {', '.join(suffixes)}" if suffixes else ""
    if (path / "train").is_dir():
        found = {split: _fitting(folder, suffixes) for split, folder in split_folders(path).items()}
        if empty := [split for split, files in found.items() if not files]:
            raise UsageError(f"{path / empty[0]} holds no files{kinds}: put some in, or remove it")
        return found, True
    files = _fitting(path, suffixes)
    if not files:
        raise UsageError(f"{path} holds no files{kinds}: put some in")
    named = [file for file in files if file.stem in SPLITS and file.parent == path]
    if not named:
        return {"train": files}, False
    if others := [file for file in files if file not in named]:
        raise UsageError(
            f"{path} holds {named[0].name} and {others[0].relative_to(path)}: name all files for"
            f" their splits ({', '.join(SPLITS)}), or none"
        )
    found = {s: [file for file in named if file.stem == s] for s in SPLITS}
    found = {split: files for split, files in found.items() if files}
    if "train" not in found:
        raise UsageError(f"{path} has files for {', '.join(found)}, but none for train: add one")
    return found, True


def split_folders(path: Path) -> dict[str, Path]:
    """Returns {split: folder} of the subfolders train, validation and test that exist.

    Args:
        path: the folder.

    Raises:
        UsageError: the folder has any other visible subfolder, even if none of these exists.
    """
    there = {folder.name: folder for folder in visible(path) if folder.is_dir()}
    if others := [name for name in there if name not in SPLITS]:
        raise UsageError(
            f"{path / others[0]} is a folder beside {path / 'train'}: rename it to validation or"
            " test, or put it elsewhere"
        )
    return {split: there[split] for split in SPLITS if split in there}


def _fitting(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    return [file for file in below(folder) if not suffixes or file.suffix.lower() in suffixes]


def text(path: Path) -> str:
    """Reads a text file in UTF-8, without a byte order mark.

    Raises:
        UsageError: the file cannot be read, or another encoding; the message has line and byte.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    way = "save it as UTF-8"
    for mark, name in _MARKS.items():
        if content.startswith(mark):
            raise UsageError(f"{path}, line 1: the file is {name}, not UTF-8: {way}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = error.start + (3 if content.startswith(codecs.BOM_UTF8) else 0)
        line = content.count(b"\n", 0, at) + 1
        raise UsageError(
            f"{path}, line {line}: byte {at} of the file (0x{content[at]:02x}) is not UTF-8: {way}"
            " (Latin-1 or Windows-1252 are likely: iconv -f WINDOWS-1252 -t UTF-8)"
        ) from error


def parse(content: str) -> Any:
    """Parses JSON.

    Raises:
        ValueError: no JSON, or nested more deeply than Python can parse.
    """
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("its lists or objects are nested too deeply") from error


def lines(path: Path) -> list[str]:
    r"""Reads the lines of a text file, without line ends.

    Lines end at "\n" or "\r\n" alone.

    Raises:
        UsageError: as `text`.
    """
    found = text(path).replace("\r\n", "\n").split("\n")
    return found[:-1] if found[-1] == "" else found


def rows(
    path: Path, columns: Sequence[str], optional: Sequence[str], problems: list[str]
) -> list[Example]:
    """Reads the rows of a table with a header, or of JSON lines, as examples.

    The `values` of an example are those of `columns`, then those of `optional` ("" for a missing
    one).

    Args:
        path: .csv (cells may be quoted; separated by commas, or by semicolons where its first line
            has semicolons and no comma), .tsv (no quotes), or .jsonl (one object per line).
        columns: required columns; a row in which one is empty is a problem.
        optional: further columns.
        problems: faults of single rows are appended to it; these rows are left out.

    Raises:
        UsageError: a missing column, another encoding, or not a table.
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
            values = [row[name] for name in columns] + [row.get(name, "") for name in optional]
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
        The names of the columns; and (line number from 1, {column: cell}) of each row that is not
        empty.

    Raises:
        UsageError: the file cannot be read or is not UTF-8, there is no header, it has faulty
            quotes, or two columns have the same name.
    """
    content = text(path)
    first = content.partition("\n")[0]
    stream = io.StringIO(content, newline="")  # line ends inside quotes stay as they are
    if path.suffix.lower() == ".tsv":
        reader = csv.reader(stream, strict=True, delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        semicolons = ";" in first and "," not in first
        reader = csv.reader(stream, strict=True, delimiter=";" if semicolons else ",")
    try:
        names = next(reader, [])
    except csv.Error as error:
        raise UsageError(f"{path}, line 1: {error}: mend the quotes of this line") from error
    if not names:
        raise UsageError(f"{path} is empty: its first line must name the columns")
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"{path}, line 1: two columns are called {twice[0]!r}: rename one")
    return names, _cells(path, names, reader, problems)


class Reader(Protocol):
    """What `csv.reader` returns."""

    @property
    def line_num(self) -> int:
        """Number of lines that have been read."""

    def __next__(self) -> list[str]:
        """Reads the next row."""


def _cells(
    path: Path, names: Sequence[str], reader: Reader, problems: list[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    tabs = path.suffix.lower() == ".tsv"
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problems.append(f"{path}, line {line}: {error}: mend the quotes of this line")
            return
        if len(cells) == len(names):
            yield line, dict(zip(names, cells, strict=True))
        elif cells:
            problems.append(
                f"{path}, line {line}: {len(cells)} cells under {len(names)} columns:"
                f" {'remove tabs from its cells' if tabs else 'quote a cell with the separator'}"
            )


def objects(path: Path, problems: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields (line number, object) of each line of JSON that is not blank.

    Numbers and booleans are converted to text; keys whose value is null, a list or an object are
    left out.

    Args:
        path: a .jsonl file.
        problems: faults of single lines are appended to it; these lines are left out.

    Raises:
        UsageError: as `text`.
    """
    for number, line in enumerate(lines(path), 1):
        if not line.strip():
            continue
        try:
            found = parse(line)
        except ValueError as error:
            problems.append(f"{path}, line {number}: not JSON ({error})")
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

    Splits are given by file names (`grouped`) or by a column `split`.

    Args:
        path: a .csv, .tsv or .jsonl file, or a folder of them.
        columns: whose cells are the `values` of an example.

    Returns:
        The examples; faults of files and rows, such as a missing column, are in its `problems`.

    Raises:
        UsageError: as `grouped`.
    """
    found = Found(path)
    files_by_split, given = grouped(path, TABLES)
    for split, files in files_by_split.items():
        for file in files:
            try:
                examples = rows(file, columns, ["split"], found.problems)
            except UsageError as error:
                found.problems.append(str(error))
                continue
            for example in examples:
                *values, own = example.values
                if own and (given or own not in SPLITS):
                    found.problems.append(
                        f"{example.where}: the split {own!r} is none of {', '.join(SPLITS)}"
                        if own not in SPLITS
                        else f"{example.where}: a column `split` in a file for {split}: remove it"
                    )
                    continue
                kept = dataclasses.replace(example, values=tuple(values))
                found.splits.setdefault(own or split, []).append(kept)
    if not found.problems and not found.splits.get("train"):
        found.problems.append(f"{path} has no examples for train: add some")
    return found
