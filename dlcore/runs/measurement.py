"""Measures the losses and the evaluators of the runs of a program."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from dlcore.runs.program import Program
from dlcore.runtime import signals
from dlcore.train.evaluate import averaged
from dlcore.train.evaluators import Evaluator
from dlcore.train.experiment import Experiment
from dlcore.train.step import State

MutableResults = dict[str, dict[str, float]]
Progress = Callable[[str], None]  # is called with what the trainer does from now on


class Measurement:
    """Measures states of a program, at averaged parameters where the optimizer keeps averages.

    Args:
        program: computes losses and collects the outputs for evaluators.
        experiment: names the evaluated splits and the evaluators.
        runs: the number of runs of the program.
        on_progress: is called before each evaluation with a message that names split and step.
    """

    def __init__(
        self, program: Program, experiment: Experiment, runs: int, on_progress: Progress
    ) -> None:
        self._program, self._experiment, self._runs = program, experiment, runs
        self._on_progress = on_progress

    def losses(self, state: State, step: int, splits: Sequence[str]) -> list[MutableResults]:
        """Evaluates the losses and their metrics over `splits`.

        Args:
            state: the program's state, of all runs, as it is trained; its averages are used where
                the optimizer keeps any.
            step: the step of `state`, for the progress messages.
            splits: names of evaluated splits.

        Returns:
            {split: {metric: value}} of each run.
        """
        results: list[MutableResults] = [{} for _ in range(self._runs)]
        for split in splits:
            signals.raise_deferred()
            self._on_progress(f"the evaluation of {split} at step {step}")
            found = self._program.evaluate(averaged(state), self._experiment.evaluated[split])
            for values, metrics in zip(results, found, strict=True):
                values[split] = metrics
        return results

    def add_scores(
        self,
        results: list[MutableResults],
        states: Sequence[State],
        step: int,
        evaluators: Sequence[Evaluator],
        skip_test: bool,
        failed: Collection[int] = (),
    ) -> None:
        """Adds to `results` the metrics of `evaluators`.

        An evaluator runs on a split for each run whose results lack any of its metrics there; all
        of its metrics there are then replaced.

        Args:
            results: {split: {metric: value}} of each run; is changed.
            states: the state of each run as it is trained; its averages are used where the
                optimizer keeps any.
            step: the step of the states, for the progress messages.
            evaluators: the evaluators that run now.
            skip_test: leaves out the test split, which is evaluated at the end only.
            failed: positions in `results` of the runs that have failed; they are left out.
        """
        for evaluator in evaluators:
            for split in evaluator.sources:
                if skip_test and split == "test":
                    continue
                signals.raise_deferred()
                self._on_progress(f"the evaluation of {split} at step {step}")
                for number in range(self._runs):
                    known = results[number].get(split, {})
                    if number not in failed and not evaluator.metrics.keys() <= known.keys():
                        state = averaged(states[number])
                        metrics = self._program.collector(evaluator, state, split)
                        results[number].setdefault(split, {}).update(metrics)
