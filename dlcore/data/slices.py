"""Slices of splits, such as "train[:90%]"."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dlcore.errors import UsageError

_SPLIT = re.compile(r"(?P<plain>[^\[\]+]+)(?P<slice>\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\])?")


def bounds(name: str, splits: Mapping[str, int], split: str) -> tuple[str, int, int]:
    """Parses a split with an optional slice.

    Args:
        name: of the data set, for messages.
        splits: {split: number of examples}.
        split: "train", "train[:90%]", "train[55000:]" and the like; percentages are rounded to the
            closest example, as TFDS does, and negative bounds are counted from the end.

    Returns:
        The split's name, the index of its first example, and that after its last.

    Raises:
        UsageError: `split` is not of that form or names no split of `splits`, or its slice is empty
            or reaches beyond the examples.
    """
    parts = _SPLIT.fullmatch(split)
    if parts is None:
        raise UsageError(
            f"{split!r} is not a split: write train, train[:90%], train[55000:] or train[10%:20%]"
        )
    plain = parts["plain"]
    if plain not in splits:
        raise UsageError(f"{name} has no split {plain!r}: it has {', '.join(splits)}")
    examples = splits[plain]
    start, stop = (
        _boundary(parts[side], examples, missing)
        for side, missing in (("start", 0), ("stop", examples))
    )
    if not 0 <= start < stop <= examples:
        raise UsageError(
            f"{name}, {split} would be examples {start} to {stop} of {examples}: choose existing"
            " ones"
        )
    return plain, start, stop


def _boundary(written: str | None, examples: int, missing: int) -> int:
    if written is None:
        return missing
    # TFDS rounds percentages to the closest example too.
    at = round(int(written[:-1]) * examples / 100) if written.endswith("%") else int(written)
    return at + examples if at < 0 else at
