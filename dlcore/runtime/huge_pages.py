"""Large pages of memory for the arrays of programs on CPU."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path

TUNABLE = "glibc.malloc.hugetlb=1"
REQUESTED = "DLCORE_LARGE_PAGES"  # set once it was asked for, or by whoever does not want it
OFFERED = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def large(environment: MutableMapping[str, str] = os.environ) -> None:
    """Begin this process again with glibc told to ask Linux for large pages, where Linux gives them
    to those who ask.

    XLA allocates a program's temporary arrays anew for each step, and above 32 MiB glibc fetches
    them from the kernel: a BERT of 1.4 million parameters then waits 36,000 times a step for a page
    of 4 KiB. glibc reads its settings but once, when a process begins.
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
    """Begin this process again with other variables, if it was begun to run its main program; else,
    or if it cannot, it goes on.
    """
    if os.name != "posix" or not _own_process():
        return
    with contextlib.suppress(OSError):
        if sys.stdout:  # None where it is closed
            sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], dict(environment))


def _own_process() -> bool:
    """Was this process begun to run its main program? Not from a pipe, which cannot be read again,
    nor inside a notebook's process.
    """
    main = sys.modules["__main__"]
    file, spec = Path(getattr(main, "__file__", None) or ""), getattr(main, "__spec__", None)
    words = sys.orig_argv[1:]
    return file.is_file() and (
        (spec is not None and spec.name in words)
        or any(Path(word).resolve() == file.resolve() for word in words)
    )
