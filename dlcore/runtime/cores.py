"""The processor cores that this process may use. Linux limits a process to some of them; macOS and
Windows do not say.
"""

from __future__ import annotations

import os


def available() -> int:
    """How many."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def keep_to(count: int) -> None:
    """Keep to `count` of them, if there are more: how many there are decides how sums are split.
    Does nothing but on Linux.
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    own = sorted(os.sched_getaffinity(0))
    if 0 < count < len(own):
        os.sched_setaffinity(0, own[:count])
