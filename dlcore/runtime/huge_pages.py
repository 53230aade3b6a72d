"""Huge memory pages for the arrays of programs on CPU."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path

TUNABLE = "glibc.malloc.hugetlb=1"
REQUESTED = "DLCORE_LARGE_PAGES"  # set after the restart, or by the user to prevent it
OFFERED = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def large(environment: MutableMapping[str, str] = os.environ) -> None:
    """Restarts this process with huge pages enabled in glibc, where Linux offers them on request.

    XLA allocates the temporary arrays of a program anew in each step, and glibc requests memory
    above 32 MiB from the kernel each time: a BERT of 1.4 million parameters then has 36,000 page
    faults of 4 KiB in each step. glibc reads this setting only when a process starts.

    Args:
        environment: the environment variables. Nothing is restarted if GLIBC_TUNABLES sets
            glibc.malloc.hugetlb already, or DLCORE_LARGE_PAGES is set, as by an earlier restart;
            nor where `again` restarts nothing.
    """
    before = environment.get("GLIBC_TUNABLES", "")
    if (
        sys.platform != "linux"
        or REQUESTED in environment
        or "glibc.malloc.hugetlb" in before
        or not _own_process()
    ):
        return
    if not OFFERED.is_file() or "[madvise]" not in OFFERED.read_text():
        return
    again({**environment, REQUESTED: "1", "GLIBC_TUNABLES": f"{before}:{TUNABLE}".strip(":")})


def again(environment: Mapping[str, str]) -> None:
    """Restarts this process with given environment variables, if it runs a program from a file.

    Otherwise (a notebook, a pipe, Windows), or where the restart fails, the process continues.

    Args:
        environment: all environment variables of the restarted process.
    """
    if os.name != "posix" or not _own_process():
        return
    with contextlib.suppress(OSError):
        if sys.stdout:  # None where it is closed
            sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], dict(environment))


def _own_process() -> bool:
    """Whether this process runs its main program from a file, and is no notebook or pipe."""
    main = sys.modules["__main__"]
    file, spec = Path(getattr(main, "__file__", None) or ""), getattr(main, "__spec__", None)
    words = sys.orig_argv[1:]
    return file.is_file() and (
        (spec is not None and spec.name in words)
        or any(Path(word).resolve() == file.resolve() for word in words)
    )
