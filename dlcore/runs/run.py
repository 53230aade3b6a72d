"""One run on disk: its folder, card, log, checkpoints, and the results of its best state."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np

from dlcore import files
from dlcore.analysis import diagnosis_summary
from dlcore.options import RunOptions
from dlcore.runs import card as cards
from dlcore.runs import circumstances, ending, parameter_hash, sample_files
from dlcore.runs.best import Best, flat
from dlcore.runs.catalog import FACTS
from dlcore.runs.checkpoint import Checkpoints
from dlcore.runs.checkpoint_files import check_space
from dlcore.runs.clock import Clock
from dlcore.runs.divergence import Divergence
from dlcore.runs.early_stopping import Patience
from dlcore.runs.ending import Diverged, FolderGone
from dlcore.runs.folder_watch import FolderWatch
from dlcore.runs.log import Log, MetricWriter, rewind
from dlcore.runs.metrics import Metrics
from dlcore.runs.program import Diagnosis, Program
from dlcore.runtime import compilation_cache, processes
from dlcore.runtime.signals import uninterrupted
from dlcore.train import model_file, tuning
from dlcore.train.experiment import Experiment, best_of
from dlcore.train.step import State

Results = Mapping[str, Mapping[str, float]]


class Run:
    """Writes what one run keeps on disk: card, log, checkpoints, final model and samples.

    `restored`, `begin` and `open_log` are called first, in this order; `close` or `fail` is last.

    Args:
        experiment: the experiment.
        flags: the run options.
        folder: the folder of the run, which exists and is locked.
        card: the card; is updated in place, and written by `save`, `close` and `fail`.
        resumed: the run continues from a checkpoint.
        siblings: the number of runs that share the program, this one included; above 1 none prints.
        writers: further outlets for the metrics.

    Attributes:
        start: the step that training continues from; set by `begin`.
        final_step: the step of the final state of a complete run; -1 before the end.
        unevaluated: the step of an evaluation that is not finished; 0: none.
        log, metrics: set by `open_log`.
    """

    log: Log
    metrics: Metrics

    def __init__(
        self,
        experiment: Experiment,
        flags: RunOptions,
        folder: Path,
        card: cards.Card,
        resumed: bool,
        siblings: int = 1,
        writers: Sequence[MetricWriter] = (),
    ) -> None:
        self.experiment, self.flags, self.folder, self.card = experiment, flags, folder, card
        self.resumed, self.siblings, self._writers = resumed, siblings, writers
        self._watch = FolderWatch(folder)
        self._seconds_before_resume = {
            kind: float(card.get("seconds", {}).get(kind, 0))
            for kind in ("compile", "train", "eval", "total")
        }
        checkpoints = Checkpoints(folder / "checkpoints", flags.keep, best_of(experiment))
        self.best = Best(experiment, checkpoints, later=siblings > 1)
        self.checkpoints = self.best.checkpoints
        self._divergence = Divergence(experiment, flags.seed, folder, self.best)
        self.start = 0
        self.final_step = -1
        self.unevaluated = 0

    # Before training

    def restored(self, program: Program, step: int | None) -> State | None:
        """Restores the state that training continues from.

        Args:
            program: the program, for the shapes of its state and the names of its metrics.
            step: the step to restore; None: the newest valid checkpoint.

        Returns:
            The state; None for a new run, for `step` 0, and where there is no checkpoint.

        Raises:
            UsageError: the disk lacks space for checkpoints, nothing measures the `best` metric, or
                there are checkpoints and none, or not that of `step`, is valid.
        """
        check_space(self.folder, program.abstract, self.flags.keep, self.siblings)
        self.best.check(program.evaluation_names)
        return (
            self.checkpoints.restore(program.abstract, step) if self.resumed and step != 0 else None
        )

    def begin(self, state: State, steps: int) -> None:
        """Prepares folder and card for training from the step of `state` to step `steps`.

        The card's `stopped_early` becomes the step of `state` if `--patience` ended the run there,
        else None. In a resumed run, log entries of later steps are removed, and checkpoints of
        later steps are renamed to damaged-N.
        """
        self.start = int(state.step)
        self.card["parameters"] = parameter_hash.counts(state.params)
        if self.start == 0:
            self.card["params_sha256"] = {"start": parameter_hash.sha256(state.params), "end": None}
            self.card["marks"] = {}
        self.patience = Patience(self.flags.patience, self.best.best, self.folder, self.start)
        self.card["stopped_early"] = self.start if self.patience.over else None
        last = self.card["stopped_early"] or steps
        if self.start < last:  # the hash of an earlier end is of another step
            self.card["params_sha256"]["end"] = None
        self.unevaluated = self.start if self.card.pop("unevaluated", 0) == self.start < last else 0
        self._logged: set[str] = set()  # splits whose evaluation at `start` is in the log
        if self.resumed:
            if processes.first():
                ended = self.start == last
                self._logged = rewind(self.folder, self.start, ended, self.card.get("step"))
            self.checkpoints.quarantine(self.start)

    def open_log(self) -> None:
        """Opens `log`, creates `metrics`, and saves the facts of the data (`Facts`) in the run."""
        writes, console = processes.first(), self.siblings == 1
        if writes:
            files.write(self.folder / FACTS, self.experiment.splits.facts.to_json())
        steps = self.experiment.steps
        self.log = Log(self.folder, steps, self.start, writes, console, self._writers)
        if found := self.best.entry():  # of a run that is resumed
            self.log.best(found["metric"], found["value"], found["step"])
        self.metrics = Metrics(self.log, self.start, self._logged)

    # During training

    def keep_hash(self, state: State, step: int) -> None:
        """Stores hash and norm of the parameters at `step` in the card, for `dlcore verify`."""
        self.card.setdefault("marks", {})[str(step)] = parameter_hash.mark(state.params)

    def log_training(
        self,
        names: Sequence[str],
        steps: Sequence[int],
        values: np.ndarray,
        examples_per_second: float,
        program: Program,
    ) -> None:
        """Checks the training metrics of several steps, and logs their means at the last of them.

        Args:
            names, steps: the metrics and the steps, in the order of `values`.
            values: totals and weights [steps, metrics, 2]; a mean is the sum of the totals over the
                sum of the weights, and is left out where the weights are 0.
            examples_per_second: the speed of this run.
            program: the program, to find faults in the data.

        Raises:
            Diverged: a loss or gradient norm is not finite.
            UsageError: the log cannot be written; `FolderGone`: the folder was removed or renamed.
        """
        self.check_folder()
        if error := self._divergence.in_metrics(names, steps, values, program.indices):
            raise error
        sums = values.sum(0).tolist()
        means = {
            name: total / weight
            for name, (total, weight) in zip(names, sums, strict=True)
            if weight
        }
        self.log.train(steps[-1], means, examples_per_second)

    def check_parameters(self, state: State, step: int, program: Program) -> None:
        """Raises Diverged where a parameter is not finite, so that no such state is saved.

        Args:
            state, step: the state, and its step.
            program: the program, to find faults in the data.
        """
        if error := self._divergence.in_parameters(state, step, program.indices):
            raise error

    @uninterrupted()
    def log_evaluation(self, state: State, step: int, results: Results, regular_save: bool) -> None:
        """Logs an evaluation; keeps the state if it is the best so far, see `Best.note`.

        Args:
            state, step: the evaluated state, and its step.
            results: {split: {metric: value}}.
            regular_save: the caller saves a checkpoint of this step, and nothing is saved here.
        """
        self.metrics.log_evaluation(step, results)
        self.check_folder()
        if self.best.note(state, step, results, regular=regular_save):
            self.log.best(self.best.metric, flat(results)[self.best.metric], step)
        self.unevaluated = 0

    def log_diagnosis(self, step: int, diagnosis: Diagnosis) -> None:
        """Writes the diagnosis of every tensor at a step to diagnostics.jsonl."""
        if processes.first():
            diagnosis_summary.write(self.folder, step, diagnosis)

    def stops_early(self, step: int) -> bool:
        """Counts the newest results for `--patience`, and returns whether it ends the run here.

        Results without the `best` metric do not count. The card records `step` if the run ends.
        """
        if self.best.measured(self.metrics.values):
            self.patience.note(self.metrics.values)
        if not self.patience.over:
            return False
        self.card["stopped_early"] = step
        since = f"{self.best.metric} has not improved in {self.flags.patience} evaluations"
        self.log.say(f"step {step}: {since}: the run ends here")
        return True

    @uninterrupted()
    def save(self, state: State, step: int, clock: Clock) -> None:
        """Writes a checkpoint of the state, and the card with the seconds of the clock.

        A best state in memory is saved first. The checkpoint, which is written in the background,
        contains the value of the `best` metric if the newest results are those of `step`.
        """
        self.check_folder()
        self.best.write()
        self.checkpoints.save(
            state, step, flat(self.metrics.values) if self.metrics.step == step else None
        )
        self.card |= {"step": step, "best": self.best.entry()}
        self.write_card(clock)

    def write_card(self, clock: Clock) -> None:
        """Updates seconds, speed, memory and results in the card; the first process writes it."""
        elapsed: dict[str, float] = {"total": clock.total} | dict(clock.seconds.items())
        seconds = {
            kind: before + elapsed[kind] for kind, before in self._seconds_before_resume.items()
        }
        self.card["seconds"] = {kind: round(value, 3) for kind, value in seconds.items()}
        trained = self.card.get("step", 0) * self.experiment.batch
        self.card["examples_per_second"] = (
            round(trained / seconds["train"], 1) if seconds["train"] else None
        )
        self.card["peak_memory_bytes"] = circumstances.peak_memory()
        self.card["compilation_cache"] = compilation_cache.found()
        self.card["results"] = self.metrics.values
        if processes.first():
            cards.write(self.folder, self.card)

    # The end

    def take_best(
        self, states: list[State | None], number: int, program: Program, last: int
    ) -> None:
        """After training, replaces this run's state in `states` by its best one.

        Sets `final_step`, and in the card the hash of the last parameters and the best step.

        Args:
            states: the last states of all runs; that of this run is replaced, unless the last state
                is the best, or there is no best. If the best cannot be read, the newest is taken.
            number: the position of this run in `states`.
            program: the program, for the shapes of the state.
            last: the last step.
        """
        state = states[number]
        assert state is not None
        self.card["params_sha256"]["end"] = parameter_hash.sha256(state.params)
        self.checkpoints.wait()
        self.final_step = self.best.final_step(last)
        if self.final_step != last:
            del state
            states[number] = None  # saves memory
            found = self.best.state(program.abstract, self.final_step)
            states[number] = found
            self.final_step = int(found.step)
        self.card["best"] = self.best.entry(self.final_step)

    def known_results(self) -> Results:
        """Returns the results of the state of `final_step` that are measured already, or {}."""
        return (
            self.metrics.values
            if self.metrics.step == self.final_step
            else self.best.results(self.final_step)
        )

    def keep_model(self, state: State) -> None:
        """Writes the parameters and extra state of `state`, as they are, as model.safetensors.

        Only the first process writes. Raises UsageError where the file cannot be written.
        """
        if processes.first():
            best = self.best.metric if self.card.get("best") else ""
            about = {"experiment": str(self.card["experiment"]), "best": best}
            if merges := tuning.merges(self.experiment.models):
                about[model_file.TUNED] = json.dumps(merges)
            model_file.save(state, self.folder / model_file.MODEL, **about)

    def draw_samples(self, state: State) -> None:
        """Writes samples of `state`, not averaged here, into `samples/`, in the first process."""
        if self.experiment.samples and processes.first():
            sample_files.save(
                self.folder / "samples",
                self.experiment.draw(state, jax.random.key(self.flags.seed)),
            )

    def close(self, status: str, clock: Clock) -> None:
        """Writes the card with its final status, "done" or "stopped", and closes the log."""
        self.card["status"] = status
        self.write_card(clock)
        self.log.close()

    def fail(self, error: Exception, clock: Clock) -> None:
        """Closes a run that cannot continue, and records the error in its card.

        The status is "failed" where the run has diverged, and "stopped" for other errors. Where the
        folder was renamed, the card is written at its new path; where that is unknown, nowhere.
        """
        self.card |= {
            "status": "failed" if isinstance(error, Diverged) else "stopped",
            "error": str(error),
        }
        # The last save may fail on a full disk or in a removed folder.
        with contextlib.suppress(Exception):
            self.checkpoints.close()
        if isinstance(error, FolderGone) and error.now:
            self.folder = error.now
        if self._watch.is_same(self.folder):
            with ending.no_space_for_the_card(self.folder, self.card):
                self.write_card(clock)
        self.log.close()

    def check_folder(self) -> None:
        """Raises FolderGone where the folder was removed or renamed."""
        if error := self.folder_gone():
            raise error

    def folder_gone(self) -> FolderGone | None:
        """Returns the error to raise where the folder was removed or renamed; else None."""
        return self._watch.error(self.folder, self.log.file if self.log.active else None)
