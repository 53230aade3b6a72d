"""Explains a loss, gradient or parameter that is not finite: where, why, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dlcore.data import checks
from dlcore.data.stream import Stream
from dlcore.runs import ending
from dlcore.runs.best import Best
from dlcore.runs.ending import Diverged
from dlcore.runs.log import loss_at
from dlcore.train.experiment import Experiment
from dlcore.train.step import State

Indices = Mapping[str, checks.Indices]  # arrays of a batch that are indices, with their bounds


class Divergence:
    """Checks the numbers of a run, and explains those that are not finite.

    `in_metrics` checks losses and gradient norms, and `in_parameters` parameters. Both return the
    error and do not raise it. Before an error is returned, a best state that is held in memory is
    saved, and pending saves are awaited.

    Args:
        experiment: names the objectives, and has the data that may be the cause.
        seed: of the run, which decides the examples of a step.
        folder: the run, whose log has the losses.
        best: the best state and the checkpoints of the run.
    """

    def __init__(self, experiment: Experiment, seed: int, folder: Path, best: Best) -> None:
        self._experiment, self._seed, self._folder, self._best = experiment, seed, folder, best

    def in_metrics(
        self, names: Sequence[str], steps: Sequence[int], values: np.ndarray, indices: Indices
    ) -> Diverged | None:
        """Returns the error for the first loss or gradient norm that is not finite; None: all are.

        Args:
            names: the metrics.
            steps: the steps.
            values: totals and weights [steps, metrics, 2].
            indices: arrays of a batch that are indices, with their bounds.
        """
        found = ending.not_finite(names, self._experiment.trained, steps, values)
        for step, metric, value in found:
            return self._error(step, metric, f"is {value}", "check the data of that step", indices)
        return None

    def in_parameters(self, state: State, step: int, indices: Indices) -> Diverged | None:
        """Returns the error for the first model with a non-finite parameter; None: all are finite.

        A finite loss with a finite gradient may still lead to an update that is not finite.

        Args:
            state: the state.
            step: its step.
            indices: arrays of a batch that are indices, with their bounds.
        """
        for name in ending.not_finite_parts(state.params):
            what = "are not finite after that step's update"
            return self._error(step, f"{name}/params", what, "check the optimizer", indices)
        return None

    def _error(self, step: int, metric: str, what: str, advice: str, indices: Indices) -> Diverged:
        checkpoints = self._best.checkpoints
        self._best.write()
        checkpoints.wait()  # the last save may still be running
        last = max(checkpoints.steps(), default=None)
        if last:
            kept = f"the last finite checkpoint is that of step {last}{loss_at(self._folder, last)}"
        else:
            kept = "no checkpoint was written before"
        fault = self._fault_in_data(step, indices)
        if fault:
            remedy = f"The data are the cause: {fault}"
        else:
            remedy = f"Lower the learning rate, clip gradients, or {advice}"
        return Diverged(
            f"step {step}: objective {metric.split('/')[0]!r}: {metric} {what}; {kept} in"
            f" {checkpoints.folder}. {remedy}"
        )

    def _fault_in_data(self, step: int, indices: Indices) -> str:
        """Describes what is wrong with the global batch of a step; "" where nothing is."""
        rows = np.arange(self._experiment.batch)
        stream = Stream(self._experiment.train, self._experiment.batch, self._seed, rows)
        return checks.find_fault(stream.at(step - 1), stream.index(step - 1), indices)
