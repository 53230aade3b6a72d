"""The examples of a user's path, their faults, and the splits that are cut from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from dlcore.data.split import by_hash
from dlcore.errors import UsageError

SPLITS = ("train", "validation", "test")
VERSION = "own"  # of the sources that are made of one's own files


@dataclasses.dataclass(frozen=True)
class Example:
    """One example of a user's files.

    Attributes:
        where: its file, or "FILE, line N".
        values: what its reader returns, such as (text, label).
    """

    where: str
    values: tuple[str, ...]


@dataclasses.dataclass
class Found:
    """The examples of a path and their faults.

    Attributes:
        path: the file or folder that was read.
        splits: {split: its examples}; all are under "train" where the path has no splits.
        problems: all faults, one sentence each.
        by_hash: the splits that were cut from train by the hash of the examples.
    """

    path: Path
    splits: dict[str, list[Example]] = dataclasses.field(default_factory=dict)
    problems: list[str] = dataclasses.field(default_factory=list)
    by_hash: tuple[str, ...] = ()

    def refuse(self) -> None:
        """Raises UsageError with the first problem and the number of others, if there are any."""
        if self.problems:
            more = len(self.problems) - 1
            rest = f" ({more} more: `dlcore data {self.path}` lists them)" if more else ""
            raise UsageError(self.problems[0] + rest)

    def read(
        self, files: Mapping[str, Sequence[Path]], examples: Callable[[Path], Iterable[Example]]
    ) -> None:
        """Reads the files of each split; the UsageError of a file becomes a problem.

        Args:
            files: {split: its files}.
            examples: file -> its examples.
        """
        for split, paths in files.items():
            self.splits[split] = []
            for file in paths:
                try:
                    self.splits[split] += examples(file)
                except UsageError as error:
                    self.problems.append(str(error))

    def items(self) -> Iterator[tuple[str, Example]]:
        """Yields (split, example) of all examples."""
        for split, examples in self.splits.items():
            for example in examples:
                yield split, example

    def named(self, split: str) -> str:
        """Returns the name of a split for `Info`: "test by hash" if it was cut from train."""
        return f"{split} by hash" if split in self.by_hash else split

    def divide(self, keys: Callable[[Sequence[Example]], Sequence[str]]) -> None:
        """Cuts missing validation and test splits from train by a key's hash, about a tenth each.

        The split of an example depends on its key alone, so that adding examples moves none. Where
        the hash leaves train or a new split empty, a problem is added.

        Args:
            keys: examples -> their keys; called only if something is cut.
        """
        missing = tuple(split for split in SPLITS[1:] if split not in self.splits)
        examples = self.splits.get("train", [])
        if not missing or not examples:
            return
        share = {split: 0.1 if split in missing else 0.0 for split in SPLITS[1:]}
        parts = by_hash(keys(examples), **share)
        for split in ("train", *missing):
            self.splits[split] = [examples[i] for i in parts[split]]
        self.by_hash = missing
        if empty := [split for split in ("train", *missing) if not self.splits[split]]:
            self.problems.append(
                f"{self.path}: of its {len(examples)} examples the hash puts none into"
                f" {empty[0]}: add examples, or give the splits train, validation and test yourself"
            )

    def classes(self) -> list[str]:
        """Returns the labels of train, sorted; the label is the last of an example's values.

        Adds a problem if train has one class only and there is no problem yet, and for each label
        of another split that train lacks.
        """
        names = sorted({example.values[-1] for example in self.splits.get("train", [])})
        if len(names) == 1 and not self.problems:
            self.problems.append(
                f"{self.path}: all examples of train have the label {names[0]!r}: a classifier"
                " needs two classes at least"
            )
        unknown: dict[tuple[str, str], list[str]] = {}
        for split, example in self.items():
            if example.values[-1] not in names:
                unknown.setdefault((split, example.values[-1]), []).append(example.where)
        for (split, label), where in unknown.items():
            count = f"{len(where)} {'example' if len(where) == 1 else 'examples'}"
            self.problems.append(
                f"{where[0]}: the label {label!r} of {self.named(split)} does not occur in train"
                f" ({count}): add examples of it to train, or remove these"
            )
        return names


def first_values(examples: Sequence[Example]) -> list[str]:
    """Returns the first value of each example, stripped: the keys of texts for `Found.divide`."""
    return [example.values[0].strip() for example in examples]
