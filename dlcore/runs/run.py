"""One run on disk: its folder, card, log, checkpoints, and the results of its best state."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np

from dlcore import files
from dlcore.analysis import diagnosis_summary
from dlcore.data import checks
from dlcore.data.stream import Stream
from dlcore.options import RunOptions
from dlcore.runs import card as cards
from dlcore.runs import ending, sample_files
from dlcore.runs.best import Best, flat
from dlcore.runs.catalog import FACTS
from dlcore.runs.checkpoint import Checkpoints
from dlcore.runs.checkpoint_files import check_space
from dlcore.runs.clock import Clock
from dlcore.runs.early_stopping import Patience
from dlcore.runs.ending import Diverged, FolderGone
from dlcore.runs.log import Log, loss_at, rewind
from dlcore.runs.metrics import Metrics
from dlcore.runs.program import Diagnosis, Program
from dlcore.runtime import compilation_cache, processes
from dlcore.runtime.signals import uninterrupted
from dlcore.train.experiment import Experiment, best_of
from dlcore.train.step import State

Results = Mapping[str, Mapping[str, float]]


class Run:
    """What one run keeps on disk. Several runs may share a program and its clock: `siblings` is how
    many do.

    `start` is the step that training continues from, `final_step` the step of the state that a
    complete run ends with (-1 before), `unevaluated` the step of an evaluation that was interrupted
    (0: none).
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
    ) -> None:
        self.experiment, self.flags, self.folder, self.card = experiment, flags, folder, card
        self.resumed, self.siblings = resumed, siblings
        self.identity = files.identity(folder)
        self._seconds_before_resume = {
            kind: float(card.get("seconds", {}).get(kind, 0))
            for kind in ("compile", "train", "eval", "total")
        }
        checkpoints = Checkpoints(folder / "checkpoints", flags.keep, best_of(experiment))
        self.best = Best(experiment, checkpoints, later=siblings > 1)
        self.checkpoints = self.best.checkpoints
        self.start = 0
        self.final_step = -1
        self.unevaluated = 0

    # Before training

    def restored(self, program: Program, step: int | None) -> State | None:
        """The state that training continues from: of the newest valid checkpoint, or that of
        `step`; None at the beginning.

        Raises UsageError where the disk has no space for checkpoints, or where nothing measures
        what is called best.
        """
        check_space(self.folder, program.abstract, self.flags.keep, self.siblings)
        self.best.check(program.evaluation_names)
        return (
            self.checkpoints.restore(program.abstract, step) if self.resumed and step != 0 else None
        )

    def begin(self, state: State, steps: int) -> None:
        """Bring folder and card to the step of `state`, from which training continues to
        `steps`.
        """
        self.start = int(state.step)
        self.card["parameters"] = cards.parameters(state.params)
        if self.start == 0:
            self.card["params_sha256"] = {"start": cards.sha256(state.params), "end": None}
            self.card["marks"] = {}
        self.patience = Patience(self.flags.patience, self.best.best, self.folder, self.start)
        self.card["stopped_early"] = self.start if self.patience.over else None
        last = self.card["stopped_early"] or steps
        self.unevaluated = self.start if self.card.pop("unevaluated", 0) == self.start < last else 0
        self._logged: set[str] = set()  # splits whose evaluation at `start` is logged already
        if self.resumed and processes.first():
            self._logged = rewind(
                self.folder, self.start, self.start == last, self.card.get("step")
            )
            self.checkpoints.set_aside(self.start)

    def open_log(self) -> None:
        """Open the log, and keep the facts of the data; training is about to start."""
        if processes.first():
            files.write(self.folder / FACTS, self.experiment.splits.facts.to_json())
        console = self.siblings == 1
        self.log = Log(
            self.folder, self.experiment.steps, self.start, processes.first(), to_console=console
        )
        if found := self.best.entry():  # of a run that is resumed
            self.log.best(found["metric"], found["value"], found["step"])
        self.metrics = Metrics(self.log, self.start, self._logged)

    # During training

    def keep_hash(self, state: State, step: int) -> None:
        """Keep the parameters' hash, for `dlcore verify`."""
        self.card.setdefault("marks", {})[str(step)] = cards.mark(state.params)

    def log_training(
        self,
        names: Sequence[str],
        steps: Sequence[int],
        values: np.ndarray,
        examples_per_second: float,
        program: Program,
    ) -> None:
        """Check and log the packed metrics [steps, metrics, 2] of these steps. Raises Diverged
        where one is not finite.
        """
        self.check_folder()
        for step, metric, found in ending.not_finite(names, self.experiment.trained, steps, values):
            raise self._diverged(
                step, metric, f"is {found}", "look at the data of that step", program.indices
            )
        sums = values.sum(0).tolist()
        means = {
            name: total / weight
            for name, (total, weight) in zip(names, sums, strict=True)
            if weight
        }
        self.log.train(steps[-1], means, examples_per_second)

    def check_parameters(self, state: State, step: int, program: Program) -> None:
        """Raises Diverged where the parameters are not finite: a finite loss with a finite gradient
        may still end in such an update, and that is no state to save.
        """
        for name in ending.not_finite_parts(state.params):
            what = "are not finite after that step's update"
            raise self._diverged(
                step, f"{name}/params", what, "look at the optimizer", program.indices
            )

    def _diverged(
        self, step: int, metric: str, what: str, way: str, indices: Mapping[str, checks.Indices]
    ) -> Diverged:
        self.best.write()
        self.checkpoints.wait()  # the last one may still be on its way to the disk
        last = max(self.checkpoints.steps(), default=None)
        good = (
            f"the last finite checkpoint is that of step {last}"
            if last
            else "no checkpoint was written before"
        )
        good += loss_at(self.folder, last) if last else ""
        fault = self._fault_in_data(step, indices)
        return Diverged(
            f"step {step}: objective {metric.split('/')[0]!r}: {metric} {what}; {good} in"
            f" {self.checkpoints.folder}. "
            + (
                f"The data are at fault: {fault}"
                if fault
                else f"Lower the learning rate, clip gradients, or {way}"
            )
        )

    def _fault_in_data(self, step: int, indices: Mapping[str, checks.Indices]) -> str:
        """What is wrong with the batch of a step, of all processes; empty where nothing is."""
        whole = Stream(
            self.experiment.train,
            self.experiment.batch,
            self.flags.seed,
            np.arange(self.experiment.batch),
        )
        return checks.find_fault(whole.at(step - 1), whole.index(step - 1), indices)

    @uninterrupted()
    def log_evaluation(self, state: State, step: int, results: Results, regular_save: bool) -> None:
        """Log an evaluation, and keep the state if it is the best."""
        self.metrics.log_evaluation(step, results)
        self.check_folder()
        if self.best.note(state, step, results, regular=regular_save):
            self.log.best(self.best.metric, flat(results)[self.best.metric], step)
        self.unevaluated = 0

    def log_diagnosis(self, step: int, diagnosis: Diagnosis) -> None:
        """Keep what the batch of the next step would do to every tensor."""
        if processes.first():
            diagnosis_summary.write(self.folder, step, diagnosis)

    def stops_early(self, step: int) -> bool:
        """Whether the evaluations have not become better for as long as `--patience` says; the card
        then says so.
        """
        if self.best.measured(self.metrics.values):
            self.patience.note(self.metrics.values)
        if not self.patience.over:
            return False
        self.card["stopped_early"] = step
        since = f"{self.best.metric} has not become better in {self.flags.patience} evaluations"
        self.log.say(f"step {step}: {since}: the run ends here")
        return True

    @uninterrupted()
    def save(self, state: State, step: int, clock: Clock) -> None:
        """Write a checkpoint and the card."""
        self.check_folder()
        self.best.write()
        self.checkpoints.save(
            state, step, flat(self.metrics.values) if self.metrics.step == step else None
        )
        self.card |= {"step": step, "best": self.best.entry()}
        self.write_card(clock)

    def write_card(self, clock: Clock) -> None:
        """Bring the card up to date, and write it."""
        elapsed: dict[str, float] = {"total": clock.total} | dict(clock.seconds.items())
        seconds = {
            kind: before + elapsed[kind] for kind, before in self._seconds_before_resume.items()
        }
        self.card["seconds"] = {kind: round(value, 3) for kind, value in seconds.items()}
        trained = self.card.get("step", 0) * self.experiment.batch
        self.card["examples_per_second"] = (
            round(trained / seconds["train"], 1) if seconds["train"] else None
        )
        self.card["peak_memory_bytes"] = cards.peak_memory()
        self.card["compilation_cache"] = compilation_cache.found()
        self.card["results"] = self.metrics.values
        if processes.first():
            cards.write(self.folder, self.card)

    # The end

    def take_best(
        self, states: list[State | None], number: int, program: Program, last: int
    ) -> None:
        """Training is over: replace this run's state in `states` by its best one, or keep the last
        where nothing is `best`.
        """
        state = states[number]
        assert state is not None
        self.card["params_sha256"]["end"] = cards.sha256(state.params)
        self.checkpoints.wait()
        self.final_step = self.best.final_step(last)
        if self.final_step != last:
            del state
            states[number] = None  # the device need not hold both
            found = self.best.state(program.abstract, self.final_step)
            states[number] = found
            self.final_step = int(found.step)
        self.card["best"] = self.best.entry(self.final_step)

    def known_results(self) -> Results:
        """What is measured already of the state that the run ends with."""
        return (
            self.metrics.values
            if self.metrics.step == self.final_step
            else self.best.results(self.final_step)
        )

    def draw_samples(self, state: State) -> None:
        """Draw what the experiment shows of the final state; the first process does so alone."""
        if self.experiment.samples and processes.first():
            sample_files.save(
                self.folder / "samples",
                self.experiment.draw(state, jax.random.key(self.flags.seed)),
            )

    def close(self, status: str, clock: Clock) -> None:
        """Close checkpoints, card and log."""
        self.card["status"] = status
        self.write_card(clock)
        self.log.close()

    def fail(self, error: Exception, clock: Clock) -> None:
        """Close a run that cannot continue: it has diverged, or is stopped by what may be mended,
        as a full disk.
        """
        self.card |= {
            "status": "failed" if isinstance(error, Diverged) else "stopped",
            "error": str(error),
        }
        # whatever a full disk, or a folder that is gone, makes of the last save
        with contextlib.suppress(Exception):
            self.checkpoints.close()
        if isinstance(error, FolderGone) and error.now:
            self.folder = error.now
        if files.identity(self.folder) == self.identity:
            with ending.no_space_for_the_card(self.folder, self.card):
                self.write_card(clock)
        self.log.close()

    def check_folder(self) -> None:
        """Raises FolderGone where the run's folder is not the one that it began in."""
        if error := self.folder_gone():
            raise error

    def folder_gone(self) -> FolderGone | None:
        """Why nothing can be saved any more, where the run's folder was removed or renamed; None
        where it was not.
        """
        if self.identity is None or files.identity(self.folder) == self.identity:
            return None
        now = None
        with contextlib.suppress(OSError):  # only Linux says where a file that is open is by now
            now = (
                Path(os.readlink(f"/proc/self/fd/{self.log.file.fileno()}")).parent
                if self.log.active
                else None
            )
        return FolderGone(
            self.folder, now if now and files.identity(now) == self.identity else None
        )
