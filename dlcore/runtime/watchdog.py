"""The watchdog: a thread that reports a phase of a run that takes too long."""

from __future__ import annotations

import faulthandler
import sys
import threading
import time
from pathlib import Path
from types import TracebackType


class Watchdog:
    """Writes the stacks of all threads to `file` when a phase exceeds the timeout.

    The run continues; each phase is reported once, on standard error too. The watchdog's thread,
    which lives in the `with` block, runs while the main thread waits for a device, a disk or
    another process.

    Args:
        seconds: the timeout of a phase; 0: never.
        file: where the stacks are appended.
    """

    def __init__(self, seconds: float, file: Path) -> None:
        self.seconds, self.file = seconds, file
        self.phase, self.since, self.reported = "starting", time.monotonic(), False
        self.over = threading.Event()
        self.thread = (
            threading.Thread(target=self._watch, daemon=True, name="watchdog") if seconds else None
        )

    def start_phase(self, phase: str) -> None:
        """Starts a phase, which the report describes as `phase`, and its timeout."""
        self.phase, self.since, self.reported = phase, time.monotonic(), False

    def _watch(self) -> None:
        while not self.over.wait(min(1.0, self.seconds / 4)):
            if not self.reported and time.monotonic() - self.since > self.seconds:
                self.reported = True
                self._report()

    def _report(self) -> None:
        # Printed before it is written: the disk may be the cause.
        message = (
            f"{self.phase} takes longer than {self.seconds:g} s; the stacks of all threads are in"
            f" {self.file}"
        )
        print(f"dlcore: warning: {message}", file=sys.stderr, flush=True)
        try:
            with self.file.open("a", encoding="utf-8") as file:
                print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {self.phase}", file=file, flush=True)
                faulthandler.dump_traceback(file, all_threads=True)
        except OSError as error:
            print(
                f"dlcore: warning: {self.file} cannot be written: {error.strerror}",
                file=sys.stderr,
                flush=True,
            )

    def __enter__(self) -> Watchdog:
        if self.thread:
            self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.over.set()
        if self.thread:
            self.thread.join(1)  # the disk may hang
