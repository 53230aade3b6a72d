"""The warning of examples of a user's that are longer than what is read of them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping


def warn(kind: str, counts: Mapping[str, tuple[int, int]], what: str) -> None:
    """Emits a UserWarning that counts examples by split; none where all counts are 0.

    Args:
        kind: of the examples, such as "texts".
        counts: {split: (number of examples that are too long, number of all)}.
        what: the rest of the sentence: the limit, what is lost, and the flag that changes it.
    """
    found = {split: both for split, both in counts.items() if both[0]}
    longer = [f"{some:,} of {every:,} {kind} of {split}" for split, (some, every) in found.items()]
    if longer:
        warnings.warn(f"{', '.join(longer)} {what}", stacklevel=3)
