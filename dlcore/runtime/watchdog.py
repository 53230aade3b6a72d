"""A thread that looks at the clock while the run works, and says where the run hangs."""

from __future__ import annotations

import faulthandler
import sys
import threading
import time
from pathlib import Path
from types import TracebackType


class Watchdog:
    """Writes the stacks of all threads to `file`, once, when nothing was told for `seconds`; 0 for
    never. The run itself goes on.

    Its thread runs while the main one waits for a device, a disk or another process.
    """

    def __init__(self, seconds: float, file: Path) -> None:
        self.seconds, self.file = seconds, file
        self.phase, self.since, self.barked = "starting", time.monotonic(), False
        self.over = threading.Event()
        self.thread = (
            threading.Thread(target=self._look, daemon=True, name="watchdog") if seconds else None
        )

    def tell(self, phase: str) -> None:
        """What the run does from now on."""
        self.phase, self.since, self.barked = phase, time.monotonic(), False

    def _look(self) -> None:
        while not self.over.wait(min(1.0, self.seconds / 4)):
            if not self.barked and time.monotonic() - self.since > self.seconds:
                self.barked = True
                self._bark()

    def _bark(self) -> None:
        # Said before it is written: the disk may be what hangs.
        message = (
            f"{self.phase} takes longer than {self.seconds:g} s; what every thread is doing stands"
            f" in {self.file}"
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
            self.thread.join(1)  # it may hang with the disk
