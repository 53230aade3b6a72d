"""A line for the person at the terminal where a run would say nothing for seconds, as while XLA
compiles.
"""

from __future__ import annotations

import contextlib
import re
import sys
import threading
from collections.abc import Callable, Iterator
from types import TracebackType

SECONDS = 2.0  # of silence, after which it is said what goes on


class Notices:
    """Is told what a run does from now on, and says it once that has taken `SECONDS`; each kind of
    work once, steps never.

    As a context it begins with "compiling", and says nothing more when it ends. `also` is told the
    same.
    """

    def __init__(
        self, active: bool = True, also: Callable[[str], None] = lambda work: None
    ) -> None:
        self.active, self.also, self.said = active, also, set[str]()
        self.timer: threading.Timer | None = None

    def __call__(self, work: str) -> None:
        """What the run does from now on: "step 3", "the evaluation of test at step 3"."""
        self.also(work)
        self._cancel()
        kind = re.sub(r"\d+", "", work)
        if not self.active or kind in self.said or kind.strip() == "step":
            return
        if SECONDS <= 0:
            return self._say(kind, work)
        self.timer = threading.Timer(SECONDS, self._say, (kind, work))
        self.timer.daemon = True
        self.timer.start()

    def _say(self, kind: str, work: str) -> None:
        self.said.add(kind)
        with contextlib.suppress(OSError, ValueError):  # nobody reads it
            print(f"{work} ...", file=sys.stderr, flush=True)

    def _cancel(self) -> None:
        if self.timer:
            self.timer.cancel()
            self.timer = None

    def __enter__(self) -> Notices:
        self("compiling")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cancel()


@contextlib.contextmanager
def during(work: str, active: bool = True) -> Iterator[None]:
    """Says `work` if the block takes longer than `SECONDS`."""
    notices = Notices(active)
    notices(work)
    try:
        yield
    finally:
        notices._cancel()
