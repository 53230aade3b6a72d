"""The best state of a run: saved when an evaluation finds it, restored at the end."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping

from dlcore.data.source import Source
from dlcore.runs.card_fields import BestState
from dlcore.runs.checkpoint import Checkpoints, Unreadable
from dlcore.train.evaluate import check_best
from dlcore.train.evaluators import Evaluator
from dlcore.train.experiment import Experiment, best_of
from dlcore.train.step import State

Results = Mapping[str, Mapping[str, float]]


def flat(results: Results) -> dict[str, float]:
    """Returns results as one mapping {"split/metric": value}."""
    return {
        f"{split}/{name}": value
        for split, metrics in results.items()
        for name, value in metrics.items()
    }


class Best:
    """Tracks the experiment's `best` metric, and keeps the checkpoint of the best state.

    Args:
        experiment: names the metric and the evaluators.
        checkpoints: the run's checkpoints.
        later: a best state that is found between two regular saves is held in memory until `write`
            is called, instead of being saved at once. Several seeds in one program use this: a
            run's state is a copy there, and saves at once would take longer than the steps.
    """

    def __init__(self, experiment: Experiment, checkpoints: Checkpoints, later: bool) -> None:
        self.experiment, self.checkpoints, self.later = experiment, checkpoints, later
        self.best = best_of(experiment)
        self.metric = self.best.removeprefix("-")
        self.split = self.metric.partition("/")[0]
        self.held: tuple[State, int, Results] | None = None
        self.found: tuple[int, Results] = (-1, {})  # the best step that this process has evaluated

    def check(self, names: Callable[[Source], Collection[str]]) -> None:
        """Checks that the losses or an evaluator measure the `best` metric.

        Args:
            names: returns the names of the metrics of the losses on a source.

        Raises:
            UsageError: none of them does.
        """
        if self.best:
            scored = [
                name
                for each in self._during()
                for name in each.metrics
                if self.split in each.sources
            ]
            check_best(self.best, [*names(self.experiment.evaluated[self.split]), *scored])

    def _during(self) -> list[Evaluator]:
        """The evaluators that run during training."""
        return [each for each in self.experiment.evaluators if each.every != "end"]

    def note(self, state: State, step: int, results: Results, regular: bool) -> bool:
        """Saves or holds the state if it is the best so far; returns whether it is.

        With `later` it is held in memory until `write`, else saved at once; with `regular` neither.
        An equal value is not better, nor is one that is not finite. An evaluation that does not
        measure the `best` metric changes nothing.

        Args:
            state: the evaluated state.
            step: its step.
            results: {split: {metric: value}} of the state.
            regular: the caller saves a regular checkpoint of this step, which is enough.
        """
        if not self.best or not self.measured(results):
            return False
        if not self.checkpoints.is_better(flat(results), flat(self.held[2]) if self.held else None):
            return False
        self.found = step, results
        self.held = (state, step, results) if not regular else None
        if not self.later:
            self.write()
        return True

    def measured(self, results: Results) -> bool:
        """Returns whether the results contain the `best` metric."""
        return self.metric.partition("/")[2] in results.get(self.split, {})

    def write(self) -> None:
        """Saves the best state that is held in memory, if there is one."""
        if self.held:
            state, step, results = self.held
            self.held = None
            self.checkpoints.save(state, step, flat(results), only_best=True)

    def results(self, step: int) -> dict[str, Mapping[str, float]]:
        """Returns the results {split: {metric: value}} of the best state, which is that of `step`.

        They are {} where this process has not evaluated it: an earlier one did, before a resume.
        """
        return dict(self.found[1]) if self.found[0] == step else {}

    def final_step(self, last: int) -> int:
        """Returns the step of the best state; `last` where there is none.

        Warns where the experiment has a `best` metric, and no value of it was finite.
        """
        step = self.checkpoints.best_step()
        if self.best and step is None:
            warnings.warn(
                f"no evaluation found a finite {self.metric}: the last state is used", stacklevel=2
            )
        return last if step is None else step

    def state(self, abstract: State, step: int) -> State:
        """Restores the best state; where that fails, the newest valid one, with a warning.

        Args:
            abstract: shapes, dtypes and shardings of the state.
            step: what `final_step` has returned.

        Raises:
            Unreadable: no checkpoint is valid.
        """
        found = best_state(self.checkpoints, abstract, step)
        assert found is not None, "a checkpoint that is there is read, or Unreadable raised"
        return found

    def entry(self, step: int | None = None) -> BestState | None:
        """Returns the card's entry `best`; None where the metric was not measured.

        Args:
            step: of a checkpoint; None: the best one.
        """
        step = self.checkpoints.best_step() if step is None else step
        if not self.best or step is None or self.metric not in self.checkpoints.kept.get(step, {}):
            return None
        better = "lower" if self.best.startswith("-") else "higher"
        return {
            "metric": self.metric,
            "better": better,
            "step": step,
            "value": self.checkpoints.kept[step][self.metric],
        }


def best_state(checkpoints: Checkpoints, abstract: State, step: int | None) -> State | None:
    """Restores the best state; where that fails or `step` is None, the newest valid one.

    Args:
        checkpoints: the run's checkpoints.
        abstract: shapes, dtypes and shardings of the state.
        step: the step of the best checkpoint, or None.

    Returns:
        The state, or None where there is no checkpoint.

    Raises:
        Unreadable: there are checkpoints, and none is valid.
    """
    if step is None:
        return checkpoints.restore(abstract)
    try:
        return checkpoints.restore(abstract, step)
    except Unreadable:
        newest = checkpoints.restore(abstract)
        warnings.warn(
            f"the best checkpoint, that of step {step}, cannot be read: the newest is used instead",
            stacklevel=2,
        )
        return newest
