"""The seconds of compiling, training and evaluation, and the speed of training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Kind = Literal["compile", "train", "eval"]


class Clock:
    """Measures the seconds of compiling, training and evaluation, and the speed of training.

    Each call of `trained_until` counts time as training: since its previous call, `start_training`
    or the end of a `pause`, whichever is latest. The time of a `pause` block counts as its kind.

    Args:
        examples: the number of examples of one step, over all runs of the program.

    Attributes:
        seconds: {kind: seconds so far} of "compile", "train" and "eval".
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
        """Starts counting training time now, where `step` steps are done."""
        self._last_log_time, self._last_logged_step = time.monotonic(), step

    def trained_until(self, step: int) -> None:
        """Counts time as training up to `step`, and computes its speed.

        The time is that since the last `trained_until`, `start_training` or end of a `pause`. The
        steps are those since the last `trained_until` or `start_training`; without any, the speed
        stays.
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
