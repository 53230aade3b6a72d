"""Names of a user's files and folders that stand for splits, though not by the names read here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from dlcore.errors import UsageError

_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "eval"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_WORD = re.compile(r"[^\W\d_]+")  # of letters alone


def likely(name: str) -> str:
    """Returns the split that a word of a name stands for, such as "validation" for ner_dev.conll.

    Args:
        name: of a file or folder, or a path; its words consist of letters, of any case. If several
            words stand for a split, the last one counts.

    Returns:
        train, validation or test; "" if no word stands for a split.
    """
    return next((_SPLITS[w] for w in reversed(_WORD.findall(name.lower())) if w in _SPLITS), "")


def refuse_likely(path: Path, files: Sequence[Path], data: bool) -> None:
    """Refuses files whose names stand for splits, for training and for another one.

    They are refused if the names of all files stand for splits; or if two names are the same but
    for that word, unless they may be source code, of which train.py and test.py can be a part.

    Args:
        path: the folder, below which names count.
        files: those of its files that are read.
        data: whether these have an ending of data, so that they are no source code.

    Raises:
        UsageError: such names; the message has two of them.
    """
    first: dict[bool, dict[tuple[str, ...], Path]] = {True: {}, False: {}}
    count = 0
    for file in files:
        name = str(file.relative_to(path))
        if split := likely(name):
            rest = tuple(word for word in _WORD.findall(name.lower()) if word not in _SPLITS)
            first[split == "train"].setdefault(rest, file)
            count += 1
    train, held_out = first[True], first[False]
    alike = next((rest for rest in train if rest in held_out), None)
    if not train or not held_out or (count < len(files) and (alike is None or not data)):
        return
    one = next(iter(train.values())) if alike is None else train[alike]
    other = next(iter(held_out.values())) if alike is None else held_out[alike]
    split = likely(str(other.relative_to(path)))
    raise UsageError(
        f"{one} and {other.relative_to(path)} look like files of two splits: rename them to"
        f" train{one.suffix} and {split}{other.suffix}, or put the files of each split into a"
        " folder train, validation or test; if they are none, give one another name"
    )
