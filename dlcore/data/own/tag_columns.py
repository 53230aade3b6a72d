"""CoNLL columns: a word first in each line, its tag last, and empty lines between sentences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from dlcore.data.own import files

NAMED = (".conll", ".iob", ".bio")  # endings that only such files have
_DOCUMENT = "-DOCSTART-"
_TAG = re.compile(r"O|[BIESLU]-\S+")


def is_columns(file: Path, tags: Sequence[str]) -> bool:
    """Returns whether a file has CoNLL columns: by its ending, or by the tags at its lines' ends.

    Args:
        file: one of `NAMED`; or .txt or .tsv, in which at least two lines, and more than half of
            those that are not blank or -DOCSTART-, have the commonest number of cells, and a tag
            last.
        tags: known ones; of one such as B-PER all tags that end in -PER.

    Raises:
        UsageError: a .txt or .tsv file that cannot be read or is not UTF-8.
    """
    if file.suffix.lower() in NAMED:
        return True
    if file.suffix.lower() not in (".txt", ".tsv"):
        return False
    return _end_in(files.lines(file), tags)


def marks_spans(file: Path) -> bool:
    """Returns whether a .txt or .tsv file begins with CoNLL columns, by tags of spans at line ends.

    The tags are O and those such as B-PER, of which there is one at least. Its `files.beginning` is
    read; `is_columns` knows a model's tags.
    """
    if file.suffix.lower() not in (".txt", ".tsv"):
        return False
    lines = [line.rstrip("\r") for line in files.beginning(file)]
    last = {cells[-1] for cells in map(_cells, lines) if cells}
    tags = [tag for tag in last if _TAG.fullmatch(tag)]
    return any(tag != "O" for tag in tags) and _end_in(lines, tags)


def _end_in(lines: Sequence[str], tags: Sequence[str]) -> bool:
    """Whether more than half of the lines have the commonest number of cells, and a tag last."""
    usual, _ = _usual(lines, 2)
    rows = [_cells(line) for line in lines if not _ends(line)]
    types = {tag[1:] for tag in tags if tag[1:2] == "-"}
    last = [each[-1] for each in rows if len(each) == usual]  # lines of text are uneven
    count = sum(tag in tags or tag[1:] in types for tag in last)
    return count > 1 and 2 * count > len(rows)


def words_in(file: Path, problems: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yields (line number of the first word, words) of each sentence of a file of CoNLL columns.

    Args:
        file: as `tagged.load` describes them; there may be a column of words alone.
        problems: a message is appended for each line of other columns; its sentence is left out.

    Raises:
        UsageError: the file cannot be read or is not UTF-8.
    """
    for begin, rows in sentences(file, files.lines(file), 1, problems):
        yield begin, [cells[0] for cells in rows]


def sentences(
    file: Path, lines: Sequence[str], least: int, problems: list[str]
) -> Iterator[tuple[int, list[list[str]]]]:
    """Yields (number of its first line, cells of each word) of each sentence without faults.

    Args:
        file: for messages.
        lines: of the file.
        least: smallest number of columns. All lines must have the commonest of the numbers that are
            at least this.
        problems: a message is appended for each faulty line.
    """
    rows: list[list[str]] = []
    count, first = _usual(lines, least)
    begin, known = 1, len(problems)
    for number, line in enumerate([*lines, ""], 1):
        if _ends(line):
            if rows and len(problems) == known:
                yield begin, rows
            rows, begin, known = [], number + 1, len(problems)
            continue
        cells = _cells(line)
        if len(cells) == count >= least and not all(cells):
            empty = cells.index("") + 1
            problems.append(f"{file}, line {number}: column {empty} is empty: fill it in")
            continue
        if len(cells) != count or count < least:
            expected = f"{count} as in line {first}" if count >= least else "a word and its tag"
            problems.append(
                f"{file}, line {number}: {len(cells)} columns, and not {expected}: give each word"
                " all of its columns, and separate sentences by empty lines"
            )
            continue
        rows.append(cells)


def _usual(lines: Sequence[str], least: int) -> tuple[int, int]:
    """The commonest number of columns, `least` or more, and its first line; (0, 0): there is none.

    By the first line alone a faulty one would make all others faulty.
    """
    found = [(len(_cells(line)), number) for number, line in enumerate(lines, 1) if not _ends(line)]
    counts = Counter(count for count, _ in found if count >= least)
    usual = max(counts, key=counts.__getitem__, default=0)
    return next((each for each in found if each[0] == usual), (0, 0))


def _ends(line: str) -> bool:
    """Whether a line ends a sentence of columns."""
    return not line.strip() or line.startswith(_DOCUMENT)


def _cells(line: str) -> list[str]:
    """The columns of a line; other whitespace, such as a no-break space, belongs to a word."""
    return line.split("\t") if "\t" in line else [each for each in line.split(" ") if each]
