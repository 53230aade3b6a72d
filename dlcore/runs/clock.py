"""The seconds of compiling, training and evaluation, and the speed of training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Kind = Literal["compile", "train", "eval"]


class Clock:
    """Measures the seconds of each kind of work; outside of `pause` time counts as training.

    Args:
        examples: the number of examples of one step, over all runs of the program.

    Attributes:
        seconds: seconds of each kind so far.
        examples_per_second: training speed over all runs, in the time that the last call of
            `trained_until` counted; 0 before the first call.
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
        """Seconds since the clock was created."""
        return time.monotonic() - self._start_time

    def start_training(self, step: int) -> None:
        """Starts counting training time after `step`."""
        self._last_log_time, self._last_logged_step = time.monotonic(), step

    def trained_until(self, step: int) -> None:
        """Counts the time since the last call or pause as training, and updates the speed.

        Args:
            step: number of steps taken so far; without a new step the speed stays as it is.
        """
        now = time.monotonic()
        elapsed, steps = now - self._last_log_time, step - self._last_logged_step
        if steps > 0:
            self.examples_per_second = steps * self._examples / max(elapsed, 1e-9)
        self.seconds["train"] += elapsed
        self._last_log_time, self._last_logged_step = now, step

    @contextmanager
    def pause(self, kind: Kind | None = None) -> Iterator[None]:
        """Counts the time of the block as `kind`, not as training; None: only in `total`.

        Time between the last call of `trained_until` and the block is counted as no kind: call
        `trained_until` first.
        """
        start = time.monotonic()
        try:
            yield
        finally:
            self._last_log_time = time.monotonic()
            if kind:
                self.seconds[kind] += self._last_log_time - start
