"""User texts with classes: tables or JSON lines with `text` and `label`."""

from __future__ import annotations

from pathlib import Path

from dlcore.data.own import table_files
from dlcore.data.own.found import Found, first_values
from dlcore.errors import UsageError

COLUMNS = ("text", "label")


def find(path: Path) -> Found:
    """Finds the texts of a path; the `values` of an example are (text, label).

    Args:
        path: a .csv, .tsv or .jsonl file with the columns (or keys) `text` and `label`, or a folder
            of them. Splits are files train.csv, validation.csv and test.csv (or of the other
            suffixes), folders of these names, or a column `split`.

    Returns:
        The texts in the splits that the path gives; all faults, also of the path, are its
        `problems`, and none is raised.
    """
    try:
        return table_files.of_tables(path, COLUMNS)
    except UsageError as error:
        return Found(path, problems=[str(error)])


def load(path: Path) -> tuple[Found, list[str]]:
    """Loads the texts of a path in three splits, and the sorted names of their classes.

    Validation and test, where missing, are cut from train, a tenth each, by the hash of the text.

    Args:
        path: see `find`.

    Raises:
        UsageError: a fault in the files, one class only, a class that train lacks, or a split that
            the hash leaves empty.
    """
    found = find(path)
    found.refuse()
    found.divide(first_values)
    names = found.classes()
    found.refuse()
    return found, names
