"""Keeps the host memory of a long run constant: malloc's arenas, and Python's reference cycles."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import time
from collections.abc import Mapping

from dlcore.runtime import cores

ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h
EVERY = 10.0  # seconds between two collections


def limit_arenas(environment: Mapping[str, str] = os.environ) -> None:
    """Limits malloc to one arena (a heap with a lock) for each core that this process may use.

    glibc creates up to eight for each core. Orbax writes each checkpoint from several threads,
    whose arrays go to any of the arenas, and each arena keeps what they have freed: after some
    hundred checkpoints a process may hold twice the memory that it uses.

    Args:
        environment: the environment variables. Nothing is limited where they set a limit already
            (MALLOC_ARENA_MAX, or glibc.malloc.arena_max in GLIBC_TUNABLES), nor without glibc.
    """
    chosen = "MALLOC_ARENA_MAX" in environment or "glibc.malloc.arena_max" in environment.get(
        "GLIBC_TUNABLES", ""
    )
    if not chosen and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(ARENA_MAX, cores.available())


class Collector:
    """Collects Python's reference cycles every 10 seconds during training.

    A JAX array that was saved is in a cycle with its shards, and each checkpoint leaves one for
    each array. Python collects its oldest generation only when a quarter of its objects are new.
    Over 200,000 belong to imported modules and compiled programs, so that it would wait for
    hundreds of checkpoints. The first collection here takes these out of all later ones
    (`gc.freeze`, unless the caller has frozen objects already), which then take less than a
    millisecond.
    """

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._frozen: bool | None = None  # None: before the first collection

    def __enter__(self) -> Collector:
        return self

    def __exit__(self, *_: object) -> None:
        """Returns the frozen objects to the oldest generation."""
        if self._frozen:
            gc.unfreeze()

    def collect_if_due(self) -> None:
        """Collects if the last collection, or the start, was 10 seconds ago."""
        if time.monotonic() - self._last < EVERY:
            return
        gc.collect()
        if self._frozen is None:
            self._frozen = not gc.get_freeze_count()
            if self._frozen:
                gc.freeze()
        self._last = time.monotonic()
