"""Runs a contender in a process: `python -m tests.benchmarks.worker ROW CONTENDER SIZE`.

It prints the first three losses as a line of JSON. Then it reads numbers from standard input; for
each it runs so many steps, and prints the seconds. While a worker measures it has a lock of this
machine, so that two comparisons at a time take turns: PyTorch's threads wait for each other, and
lose most where another process takes a core.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Has the lock of all workers of this machine in the block."""
    with (Path(tempfile.gettempdir()) / "dlcore-benchmarks.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main(row: str, contender: str, size: str) -> None:
    """Prints the first three losses, then the seconds for each number on standard input.

    Args:
        row: module of `tests.benchmarks.rows`.
        contender: its function; "torch_compile": `torch` by `torch.compile`.
        size: "FULL" or "TINY".
    """
    module = importlib.import_module(f"tests.benchmarks.rows.{row}")
    case = getattr(module, size)
    if contender == "dlcore":
        from dlcore.options import RunOptions
        from dlcore.runtime import devices, huge_pages

        huge_pages.large()  # as `dlcore train` does
        devices.prepare(
            RunOptions(offline=True, cpu_devices=getattr(module, "CPU_DEVICES", 0)),
            case.batch,
            os.environ,
        )
    if contender == "torch_compile":
        from tests.benchmarks import torched

        contender, torched.COMPILED = "torch", True
    step = getattr(module, contender)(case)
    print(json.dumps([float(step()) for _ in range(3)]), flush=True)
    for line in sys.stdin:
        with alone():
            # untimed: the caches and the free pages are whoever worked before
            for _ in range(-(-int(line) // 4)):
                last = step()
            float(last)
            start_time = time.perf_counter()
            for _ in range(int(line)):
                last = step()
            float(last)
            seconds = time.perf_counter() - start_time
        print(json.dumps(seconds), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
