"""One's own texts with classes: tables or JSON lines with `text` and `label`."""

from __future__ import annotations

from pathlib import Path

from dlcore.data.own import files
from dlcore.data.own.found import Found, first_values
from dlcore.errors import UsageError

COLUMNS = ("text", "label")


def find(path: Path) -> Found:
    """The texts of a .csv, .tsv or .jsonl file, or of a folder of them; `values` are (text, label).

    Splits are files train.csv, validation.csv and test.csv (or of the other endings) of a folder,
    or a column `split`.
    """
    try:
        return files.of_tables(path, COLUMNS)
    except UsageError as error:
        return Found(path, problems=[str(error)])


def load(path: Path) -> tuple[Found, list[str]]:
    """The texts of a path in three splits, and the names of their classes, sorted.

    Splits that are not given are cut by the hash of the text. UsageError: anything that is wrong
    with the files.
    """
    found = find(path)
    found.refuse()
    found.divide(first_values)
    names = found.classes()
    found.refuse()
    return found, names
