"""SIGTERM, SIGHUP and Ctrl-C, which the loop checks between two steps."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

NAMES = ("SIGTERM", "SIGHUP", "SIGINT")  # a terminal that is closed sends SIGHUP; Windows has none
STOPPING = (
    b"dlcore: stopping after this step, and saving; a second Ctrl-C does not wait for an"
    b" evaluation\n"
)
_held: list[int] = []  # not empty: a second Ctrl-C does not raise KeyboardInterrupt
_deferred: list[int] = []  # the second Ctrl-C that did not raise it


def numbers() -> list[int]:
    """Lists the signals that ask a process to stop, except those that it was started to ignore.

    nohup makes a process ignore SIGHUP, and a script's `&` Ctrl-C.
    """
    known = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    return [number for number in known if signal.getsignal(number) is not signal.SIG_IGN]


@contextmanager
def handled(
    handler: Callable[[int, FrameType | None], None], kinds: list[int] | None = None
) -> Iterator[None]:
    """Installs a signal handler for the block; afterwards the earlier handlers are restored.

    Args:
        handler: (signal, frame) -> None.
        kinds: the signals; None: all that ask to stop.
    """
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
    """Collects the signals that ask this process to stop, in place of their usual effect.

    A Ctrl-C that is not the first signal also raises KeyboardInterrupt; if it is the second one and
    is received in an `uninterrupted` block, the next `raise_deferred` raises it instead.

    Yields:
        The numbers of the received signals; the list grows in the block. With several processes
        JAX handles SIGTERM, and the first other signal is passed to it.
    """
    import jax  # a launcher that forwards signals needs no JAX

    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        again = bool(received)
        received.append(number)
        if number == signal.SIGINT and again:
            if not _held or len(received) > 2:
                raise KeyboardInterrupt
            _deferred.append(number)
        if number == signal.SIGINT and not again and jax.process_index() == 0:
            with contextlib.suppress(OSError):
                os.write(2, STOPPING)  # print may be interrupted within a line
        if not again and jax.process_count() > 1:
            signal.raise_signal(signal.SIGTERM)

    # With several processes JAX's own notifier owns SIGTERM, so that all of them stop at the same
    # step.
    kinds = [number for number in numbers() if number != signal.SIGTERM or jax.process_count() == 1]
    try:
        with handled(note, kinds):
            yield received
    finally:
        _deferred.clear()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Defers a second Ctrl-C in the block to `raise_deferred`; a third raises KeyboardInterrupt."""
    _held.append(1)
    try:
        yield
    finally:
        _held.pop()


def raise_deferred() -> None:
    """Raises KeyboardInterrupt where a second Ctrl-C came in an `uninterrupted` block; once."""
    if _deferred:
        _deferred.clear()
        raise KeyboardInterrupt
