"""The processor cores that this process may use; only Linux can restrict them."""

from __future__ import annotations

import os


def available() -> int:
    """Returns the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def keep_to(count: int) -> None:
    """Restricts this process to `count` cores, if it has more; Linux only.

    The number of cores determines how XLA splits sums, and thereby their rounding. A `count` of 0
    restricts nothing.
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    own = sorted(os.sched_getaffinity(0))
    if 0 < count < len(own):
        os.sched_setaffinity(0, own[:count])
