"""The seconds that a process spends compiling, training and evaluating, and the speed of
training.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Kind = Literal["compile", "train", "eval"]


class Clock:
    """Counts `seconds` by kind. While training, time counts as "train", but for what a `pause`
    takes out of it.

    Args:
        examples: examples of one step, over all runs of the program.
    """

    def __init__(self, examples: int) -> None:
        self.seconds: dict[Kind, float] = {"compile": 0.0, "train": 0.0, "eval": 0.0}
        self.examples_per_second = 0.0
        self._examples = examples
        self._start_time = time.monotonic()
        self._last_log_time = self._start_time
        self._last_logged_step = 0

    @property
    def total(self) -> float:
        """Seconds since the clock was made."""
        return time.monotonic() - self._start_time

    def start_training(self, step: int) -> None:
        """Training starts after `step`."""
        self._last_log_time, self._last_logged_step = time.monotonic(), step

    def trained_until(self, step: int) -> None:
        """The steps up to `step` are done: counts the time since the last call as training, and
        measures its speed.
        """
        now = time.monotonic()
        elapsed, steps = now - self._last_log_time, step - self._last_logged_step
        if steps > 0:
            self.examples_per_second = steps * self._examples / max(elapsed, 1e-9)
        self.seconds["train"] += elapsed
        self._last_log_time, self._last_logged_step = now, step

    @contextmanager
    def pause(self, kind: Kind | None = None) -> Iterator[None]:
        """The time of the block is not training; it counts as `kind`, or as nothing but the
        total.
        """
        start = time.monotonic()
        try:
            yield
        finally:
            self._last_log_time = time.monotonic()
            if kind:
                self.seconds[kind] += self._last_log_time - start
