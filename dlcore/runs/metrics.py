"""What a run measures of its splits, during training and at the end, and what it logs of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from math import isfinite
from typing import Any

import jax

from dlcore.runs.log import Log
from dlcore.runs.loop import Busy
from dlcore.sharding import to_host
from dlcore.train.evaluate import averaged
from dlcore.train.experiment import Experiment
from dlcore.train.step import State


class Results:
    """`values` {split: {metric: value}} of the state after `step`, of the averaged parameters where these are kept.

    `logged`: splits whose evaluation at the step `start`, from which a run goes on, is in its log already.
    """

    def __init__(
        self, experiment: Experiment, evaluator: Callable[..., Any], log: Log, busy: Busy, start: int, logged: Collection[str]
    ) -> None:
        self.experiment, self.evaluator, self.log, self.busy = experiment, evaluator, log, busy
        self.start, self.logged = start, logged
        self.values: dict[str, Mapping[str, float]] = {}
        self.step = -1

    def measure(self, state: State, step: int) -> None:
        """Evaluate the splits that are looked at during training: all but "test"."""
        self.values = self._evaluated(state, step, [split for split in self.experiment.eval if split != "test"])
        self.step = step

    def tell(self) -> None:
        """Log what was measured last."""
        again = self.logged if self.step == self.start else ()
        self._tell({split: metrics for split, metrics in self.values.items() if split not in again})

    def complete(self, state: State, step: int, known: Mapping[str, Mapping[str, float]]) -> State:
        """Measure what is measured once, of the state that a run ends with: the test split, and `Experiment.evaluate`.

        `known` is what was measured and logged of that state before, unless it was measured last. Returns the state that was
        evaluated, on this process alone.
        """
        host = averaged(state)
        if jax.process_count() > 1:  # together: the parts of a sharded state come from all processes
            host = to_host(host)
        known = self.values if self.step == step else known
        rest = self._evaluated(state, step, [split for split in self.experiment.eval if split not in known])
        self.values, self.step = {**known, **rest}, step
        before = {split: metrics for split, metrics in self.values.items() if split != "test"}
        self.busy(f"the evaluation at step {step}")
        for split, metrics in (self.experiment.evaluate(host) if self.experiment.evaluate else {}).items():
            self.values[split] = {**self.values.get(split, {}), **metrics}
        told = {split: before.get(split, {}) for split in self.values}
        # A NaN differs from itself, but is the same object where it was told before.
        fresh = {
            split: {k: v for k, v in each.items() if told[split].get(k) is not v and told[split].get(k) != v}
            for split, each in self.values.items()
        }
        self._tell({split: metrics for split, metrics in fresh.items() if metrics})
        for name in (
            f"{split}/{name}" for split, each in self.values.items() for name, value in each.items() if not isfinite(value)
        ):
            warnings.warn(f"{name} is no finite number: look at the data of that split", stacklevel=2)
        return host

    def _evaluated(self, state: State, step: int, splits: Sequence[str]) -> dict[str, Mapping[str, float]]:
        values = {}
        for split in splits:
            self.busy(f"the evaluation of {split} at step {step}")
            values[split] = self.evaluator(averaged(state), self.experiment.eval[split])
        return values

    def _tell(self, results: Mapping[str, Mapping[str, float]]) -> None:
        for split, metrics in results.items():
            self.log.write(self.step, split, metrics)
            self.log.say(f"step {self.step} {split}: " + "  ".join(f"{k} {v:.4f}" for k, v in metrics.items()))
