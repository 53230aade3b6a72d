"""Which examples "train[:90%]" names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dlcore.errors import UsageError

_SPLIT = re.compile(r"(?P<plain>[^\[\]+]+)(?P<slice>\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\])?")


def bounds(name: str, splits: Mapping[str, int], split: str) -> tuple[str, int, int]:
    """The plain split, and the numbers of its first example and of the one after its last.
    `splits`: their numbers of examples.

    UsageError, in which the set is called `name`: not of that form, no such split, or no such
    examples.
    """
    parts = _SPLIT.fullmatch(split)
    if parts is None:
        raise UsageError(
            f"{split!r} is no split: write train, train[:90%], train[55000:] or train[10%:20%]"
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
            f"{name}, {split} would be examples {start} to {stop} of {examples}: choose some that"
            " are there"
        )
    return plain, start, stop


def _boundary(written: str | None, examples: int, missing: int) -> int:
    if written is None:
        return missing
    # TFDS rounds percentages to the closest example too.
    at = round(int(written[:-1]) * examples / 100) if written.endswith("%") else int(written)
    return at + examples if at < 0 else at
