"""The results of a run's evaluations: the values at hand, and what of them is logged."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from math import isfinite

from dlcore.runs.log import Log

Results = Mapping[str, Mapping[str, float]]


class Metrics:
    """`values` {split: {metric: value}} of the state after `step` (-1: nothing is measured yet).

    Args:
        log: where they are logged.
        start: the step that training continues from.
        logged: splits whose evaluation at `start` is in the log already.
    """

    def __init__(self, log: Log, start: int, logged: Collection[str] = ()) -> None:
        self._log, self._start, self._logged = log, start, logged
        self.values: dict[str, Mapping[str, float]] = {}
        self.step = -1

    def log_evaluation(self, step: int, results: Results) -> None:
        """Take in and log an evaluation during training."""
        self.values, self.step = dict(results), step
        again = self._logged if step == self._start else ()
        self._write({split: metrics for split, metrics in results.items() if split not in again})

    def log_final(self, step: int, results: Results, logged: Results) -> None:
        """Take in what is measured of the final state. Of what is `logged` before only what is new
        is logged.

        Warns of what is not finite.
        """
        self.values, self.step = dict(results), step
        self._write(
            {
                split: new
                for split, each in self.values.items()
                if (new := _new(each, logged.get(split, {})))
            }
        )
        for split, metrics in self.values.items():
            for name, value in metrics.items():
                if not isfinite(value):
                    warnings.warn(
                        f"{split}/{name} is no finite number: look at the data of that split",
                        stacklevel=2,
                    )

    def _write(self, results: Results) -> None:
        for split, metrics in results.items():
            self._log.write(self.step, split, metrics)
            self._log.say(
                f"step {self.step} {split}: "
                + "  ".join(f"{k} {v:.4f}" for k, v in metrics.items())
            )


def _new(metrics: Mapping[str, float], logged: Mapping[str, float]) -> dict[str, float]:
    """The metrics that are not logged with this value. A NaN differs from itself, but is the same
    object where it was logged.
    """
    return {k: v for k, v in metrics.items() if logged.get(k) is not v and logged.get(k) != v}
