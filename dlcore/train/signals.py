"""SIGTERM and Ctrl-C as something to look at between two steps."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax


@contextmanager
def asked_to_stop() -> Iterator[list[int]]:
    """The signals that came: SIGTERM and the first Ctrl-C end the run after the step at hand; a second Ctrl-C ends it at once."""
    came: list[int] = []

    def note(number: int, frame: Any) -> None:
        if number == signal.SIGINT and came:
            raise KeyboardInterrupt
        came.append(number)
        if jax.process_count() > 1:
            signal.raise_signal(signal.SIGTERM)

    # With several processes JAX's own notifier owns SIGTERM, so that all of them stop at the same step.
    numbers = [signal.SIGINT] if jax.process_count() > 1 else [signal.SIGTERM, signal.SIGINT]
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
