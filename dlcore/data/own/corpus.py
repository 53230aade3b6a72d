"""User texts for language models: a text file, or a folder of them."""

from __future__ import annotations

from pathlib import Path

from dlcore.data.own import files
from dlcore.data.own.found import Example, Found
from dlcore.errors import UsageError

TRAINING = 0.9  # of each file, where no split is given


def find(path: Path) -> Found:
    """Finds the documents of a path; the `values` of an example are (text,).

    Args:
        path: a text file, or a folder of text files and subfolders, one document per file; splits
            are files or subfolders train, validation and test.

    Returns:
        The examples by split; faults, such as an empty file, are in its `problems`.
    """
    found = Found(path)
    try:
        grouped, _ = files.grouped(path)
    except UsageError as error:
        found.problems.append(str(error))
        return found
    found.read(grouped, lambda file: _document(file, found.problems))
    return found


def _document(file: Path, problems: list[str]) -> list[Example]:
    text = files.text(file).replace("\r\n", "\n")
    if text.strip():
        return [Example(str(file), (text,))]
    problems.append(f"{file} holds no text: remove it")
    return []


def load(path: Path) -> dict[str, list[str]]:
    """Loads {split: documents} of a path.

    Without validation files, the last tenth of the characters of each training file is for
    validation, from the start of a line where possible. A missing test split is not made.

    Args:
        path: see `find`.

    Raises:
        UsageError: a fault in the files.
    """
    found = find(path)
    found.refuse()
    documents = {s: [e.values[0] for e in examples] for s, examples in found.splits.items()}
    if "validation" in documents:
        return documents
    cut = [_cut(text) for text in documents["train"]]
    order = {"train": [first for first, _ in cut], "validation": [last for _, last in cut]}
    return {**order, **{split: texts for split, texts in documents.items() if split != "train"}}


def _cut(text: str) -> tuple[str, str]:
    """Splits a text after nine tenths, at the next start of a line if there is one."""
    at = int(TRAINING * len(text))
    line = text.find("\n", at) + 1
    at = line if 0 < line < len(text) else at
    return text[:at], text[at:]
