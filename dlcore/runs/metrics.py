"""The results of a run's evaluations, and what of them is logged."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from math import isfinite

from dlcore.runs.log import Log

Results = Mapping[str, Mapping[str, float]]


class Metrics:
    """Stores the newest results of evaluations, and logs and prints those that are new.

    Args:
        log: where they are logged.
        start: the step that training continues from.
        logged: the splits whose evaluation at `start` is in the log already.

    Attributes:
        values: the newest results, {split: {metric: value}}.
        step: the step of the state that they were measured at; -1: none yet.
    """

    def __init__(self, log: Log, start: int, logged: Collection[str] = ()) -> None:
        self._log, self._start, self._logged = log, start, logged
        self.values: dict[str, Mapping[str, float]] = {}
        self.step = -1

    def log_evaluation(self, step: int, results: Results) -> None:
        """Stores and logs an evaluation during training.

        At the step that training continues from, splits whose evaluation is in the log already are
        stored without being logged again.

        Args:
            step: of the evaluated state.
            results: {split: {metric: value}}.
        """
        self.values, self.step = dict(results), step
        again = self._logged if step == self._start else ()
        self._write({split: metrics for split, metrics in results.items() if split not in again})

    def log_final(self, step: int, results: Results, logged: Results) -> None:
        """Stores the results of the final state, and logs metrics that `logged` lacks.

        A metric whose value differs from that in `logged` is logged as well. Warns of values that
        are not finite.

        Args:
            step: the step of the final state.
            results: {split: {metric: value}}, all of its results.
            logged: the results of this state that were logged during training; {}: none.
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
                        f"{split}/{name} is not finite: check the data of that split",
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
    """The metrics whose values are not logged yet; the same NaN object counts as logged."""
    return {k: v for k, v in metrics.items() if logged.get(k) is not v and logged.get(k) != v}
