"""User sentence pairs: a table of two columns, or two files line by line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dlcore.data.own import files
from dlcore.data.own.found import Example, Found, first_values
from dlcore.errors import UsageError

SIDES = ("source", "target")


def find(path: Path) -> Found:
    """Finds the sentence pairs of a path; the `values` of an example are (source, target).

    Args:
        path: a .tsv file with one pair per line, source and target, which may begin with the header
            "source", tab, "target"; or a folder with two files of equally many lines: source.txt
            and target.txt, or two others, of which the first by name is the source. Splits are
            files train.tsv, validation.tsv and test.tsv, or train.de and train.en and so on, or
            folders of these names.

    Returns:
        The examples by split; faults of files and lines are in its `problems`.
    """
    found = Found(path)
    try:
        grouped, _ = files.grouped(path)
        for split, paths in grouped.items():
            found.splits[split] = _pairs(paths, found.problems)
    except UsageError as error:
        found.problems.append(str(error))
    if not found.problems and not found.splits.get("train"):
        found.problems.append(f"{path} has no pairs for train: add some")
    return found


def languages(path: Path) -> tuple[str, str]:
    """Returns the suffixes of the source file and the target file, such as ("de", "en").

    It is ("source", "target") unless the path has two files with different suffixes.

    Args:
        path: see `find`; the files of its first split are used.

    Raises:
        UsageError: as `dlcore.data.own.files.grouped`.
    """
    paths = next(iter(files.grouped(path)[0].values()))
    if len(paths) != 2 or len({file.suffix for file in paths}) != 2:
        return ("source", "target")
    first, second = (file.suffix.removeprefix(".") or file.name for file in paths)
    return first, second


def load(path: Path) -> Found:
    """Loads the sentence pairs of a path in three splits.

    Missing splits are cut from train by the hash of the source sentence, so that a sentence with
    several translations is in one split.

    Args:
        path: see `find`.

    Raises:
        UsageError: a fault in the files, or a split that the hash leaves empty.
    """
    found = find(path)
    found.refuse()
    found.divide(first_values)
    found.refuse()
    return found


def _pairs(paths: Sequence[Path], problems: list[str]) -> list[Example]:
    if len(paths) == 1 and paths[0].suffix.lower() == ".tsv":
        return _table(paths[0], problems)
    if len(paths) != 2:
        if len(paths) == 1:
            raise UsageError(
                f"{paths[0]} holds no pairs: name a .tsv file, or a folder of two files"
            )
        names = ", ".join(path.name for path in paths[:5])
        raise UsageError(
            f"{paths[0].parent} has {len(paths)} files ({names}): pairs are one .tsv file of two"
            " columns, or two files of as many lines"
        )
    if {path.stem for path in paths} == {*SIDES}:
        paths = sorted(paths, key=lambda path: SIDES.index(path.stem))
    sides = [files.lines(path) for path in paths]
    if len(sides[0]) != len(sides[1]):
        sizes = " and ".join(
            f"{path} has {len(side)} lines" for path, side in zip(paths, sides, strict=True)
        )
        raise UsageError(f"{sizes}: line N of one must be the translation of line N of the other")
    examples = []
    for line, pair in enumerate(zip(*sides, strict=True), 1):
        empty = [path for path, side in zip(paths, pair, strict=True) if not side.strip()]
        if len(empty) == 2:
            continue
        if empty:
            problems.append(f"{empty[0]}, line {line}: is empty, and that of the other file is not")
        else:
            examples.append(Example(f"{paths[0]}, line {line}", pair))
    return examples


def _table(path: Path, problems: list[str]) -> list[Example]:
    examples = []
    for line, content in enumerate(files.lines(path), 1):
        cells = content.split("\t")
        if not content.strip() or (line == 1 and cells == [*SIDES]):
            continue
        if len(cells) != 2:
            problems.append(
                f"{path}, line {line}: {len(cells)} columns: a pair is a source, a tab, a target"
            )
        elif not all(cell.strip() for cell in cells):
            problems.append(f"{path}, line {line}: the pair has an empty side: remove the line")
        else:
            examples.append(Example(f"{path}, line {line}", tuple(cells)))
    return examples
