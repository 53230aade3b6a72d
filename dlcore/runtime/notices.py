"""Prints what a run does where it would otherwise print nothing for seconds, such as compiling."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
from collections.abc import Callable, Iterator
from types import TracebackType

SECONDS = 2.0  # after this time a phase is printed


class Notices:
    """Prints a phase of a run, on standard error, once it has taken `SECONDS`.

    Calling the instance with a phase's description ends the phase before it, and starts this one.
    Each kind of phase, which is its description without digits, is printed once, and steps never.
    The `with` block starts with the phase "compiling"; after the block no phase is printed.

    Args:
        active: whether anything is printed.
        also: is called with each description at the start of its phase, printed or not.
    """

    def __init__(
        self, active: bool = True, also: Callable[[str], None] = lambda work: None
    ) -> None:
        self.active, self.also, self.said = active, also, set[str]()
        self.timer: threading.Timer | None = None

    def __call__(self, work: str) -> None:
        """Starts a phase, such as "step 3" or "the evaluation of test at step 3"."""
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
        with contextlib.suppress(OSError, ValueError):  # standard error is closed
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
    """Prints a line on standard error if the block takes longer than `SECONDS`.

    Args:
        work: what takes so long, such as "compiling".
        active: False: nothing is printed.
    """
    notices = Notices(active)
    notices(work)
    try:
        yield
    finally:
        notices._cancel()
