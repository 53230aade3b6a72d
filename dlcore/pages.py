"""Large pages of memory for the arrays of programs on CPU."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

WANTED = "glibc.malloc.hugetlb=1"
OFFERED = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def large(environment: MutableMapping[str, str] = os.environ) -> None:
    """Begin this process again with glibc told to ask Linux for large pages, where Linux gives them to those who ask.

    XLA allocates a program's temporary arrays anew for each step, and above 32 MiB glibc fetches them from the kernel: a BERT of 1.4
    million parameters then waits 36,000 times a step for a page of 4 KiB. glibc reads its settings but once, when a process begins.
    """
    main = Path(getattr(sys.modules["__main__"], "__file__", None) or "")
    before = environment.get("GLIBC_TUNABLES", "")
    if sys.platform != "linux" or "glibc.malloc.hugetlb" in before or not main.is_file():
        return  # a program that came through a pipe cannot be read again
    if not OFFERED.is_file() or "[madvise]" not in OFFERED.read_text():
        return
    environment["GLIBC_TUNABLES"] = f"{before}:{WANTED}".strip(":")
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], dict(environment))
