"""SIGTERM, SIGHUP and Ctrl-C as something to look at between two steps."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

NAMES = ("SIGTERM", "SIGHUP", "SIGINT")  # a terminal that is closed sends SIGHUP; Windows has none
STOPPING = (
    b"dlcore: stopping after this step, and saving; a second Ctrl-C does not wait for an"
    b" evaluation\n"
)
_held: list[int] = []  # not empty: a second Ctrl-C waits


def numbers() -> list[int]:
    """The signals that ask a process to stop, but for those that it was begun to ignore: SIGHUP by
    nohup, Ctrl-C in a script's `&`.
    """
    known = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    return [number for number in known if signal.getsignal(number) is not signal.SIG_IGN]


@contextmanager
def handled(
    handler: Callable[[int, FrameType | None], None], kinds: list[int] | None = None
) -> Iterator[None]:
    """Let `handler` have these signals (by default all that ask to stop) for the block."""
    before = {
        number: signal.signal(number, handler) for number in (numbers() if kinds is None else kinds)
    }
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, signal.SIG_DFL if earlier is None else earlier)


@contextmanager
def stop_requested() -> Iterator[list[int]]:
    """The signals that came. Each ends the run after the step at hand; Ctrl-C after another signal
    raises KeyboardInterrupt.

    The second signal waits for what is `uninterrupted`, the third for nothing.
    """
    import jax  # a launcher that passes signals on needs none

    received: list[int] = []

    def note(number: int, frame: Any) -> None:
        again = bool(received)
        received.append(number)
        if number == signal.SIGINT and again and (not _held or len(received) > 2):
            raise KeyboardInterrupt
        if number == signal.SIGINT and not again and jax.process_index() == 0:
            with contextlib.suppress(OSError):
                os.write(2, STOPPING)  # print may be in the midst of a line
        if not again and jax.process_count() > 1:
            signal.raise_signal(signal.SIGTERM)

    # With several processes JAX's own notifier owns SIGTERM, so that all of them stop at the same
    # step.
    kinds = [number for number in numbers() if number != signal.SIGTERM or jax.process_count() == 1]
    with handled(note, kinds):
        yield received


@contextmanager
def uninterrupted() -> Iterator[None]:
    """What a second Ctrl-C must not cut in two: it is looked at between the steps, as the first
    one.
    """
    _held.append(1)
    try:
        yield
    finally:
        _held.pop()
