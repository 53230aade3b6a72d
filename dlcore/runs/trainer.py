"""The books of a run: its data, its compiled step, and what is logged, evaluated, saved and said about it."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dlcore import files, sharding
from dlcore.analysis import diagnose, diagnosis_summary
from dlcore.data import checks
from dlcore.data.stream import Stream
from dlcore.errors import UsageError
from dlcore.options import Flags
from dlcore.runs import card as cards
from dlcore.runs import early_stopping, ending, sample_files
from dlcore.runs.best import Best, flat
from dlcore.runs.checkpoint import Checkpoints, check_room
from dlcore.runs.ending import Diverged
from dlcore.runs.log import Log, loss_at, rewind
from dlcore.runs.loop import DONE, FAILED, Busy, loop, silent
from dlcore.runs.metrics import Results
from dlcore.runs.program import Diagnose, Evaluate, Lane, Step
from dlcore.runtime import compilation_cache, notices, processes
from dlcore.runtime.signals import asked_to_stop, uninterrupted
from dlcore.runtime.watchdog import Watchdog
from dlcore.train.compile import compile_step
from dlcore.train.evaluate import Evaluator, packed_step
from dlcore.train.experiment import Experiment, best_of
from dlcore.train.init import initial
from dlcore.train.precision import with_precision


class Fit:
    """One run of the loop: the compiled step, its data, and the books that are kept about it."""

    def __init__(
        self,
        experiment: Experiment,
        flags: Flags,
        folder: Path,
        card: cards.Card,
        resumed: bool,
        busy: Busy = silent,
        lane: Lane | None = None,
    ) -> None:
        self.experiment, self.flags, self.folder, self.card, self.busy = experiment, flags, folder, card, busy
        self.began, self.identity = time.monotonic(), files.identity(folder)
        self.spent = {k: float(card.get("seconds", {}).get(k, 0)) for k in ("compile", "train", "eval", "total")}
        self.before = self.spent["total"]
        self.layout = lane.layout if lane else sharding.layout(flags.parallel, flags.mesh)
        self.objectives = with_precision(experiment.objectives, flags.precision, experiment.inputs)
        self.stream = Stream(experiment.train, experiment.batch, flags.seed, self.layout.local_rows(experiment.batch))
        seed, micro = flags.seed, flags.microbatches
        evaluator = Evaluator(self.objectives, self.layout, experiment.batch, seed)
        self.evaluator: Evaluate = lane.evaluate if lane else evaluator
        self.diagnosis: Diagnose = lane.diagnose if lane else diagnose.Diagnosis(self.objectives, self.layout, seed, micro)
        self.best = Best(experiment, Checkpoints(folder / "checkpoints", flags.keep, best_of(experiment)), later=lane is not None)
        self.checkpoints = self.best.checkpoints
        self.eval_every = flags.eval_every or max(1, experiment.steps // 10)
        self.save_every = flags.save_every or max(1, experiment.steps // (2 if lane else 10))
        self.log_every, self.stride = flags.log_every, 1
        # The host runs two steps ahead at most. Simulated devices share few threads: they would wait for each other.
        self.ahead = 1 if self.layout.mesh.size > 1 and jax.default_backend() == "cpu" else 3

        example = self.layout.put(self.stream.at(0), experiment.batch)
        self.abstract, make = (lane.abstract, lane.make) if lane else initial(experiment, seed, self.layout, example)
        check_room(folder, self.abstract, flags.keep, lane.together if lane else 1)
        self.best.check(lane.eval_names if lane else functools.partial(evaluator.names, self.abstract))
        at = lane.start if lane else None
        restored = self.checkpoints.restore(self.abstract, at) if resumed and at != 0 else None
        self.state = make() if restored is None else restored
        self.start = int(self.state.step)
        card["parameters"] = cards.parameters(self.state.params)
        if self.start == 0:
            card["params_sha256"] = {"start": cards.sha256(self.state.params), "end": None}
            card["marks"] = {}
        self.patience = early_stopping.Patience(flags.patience, self.best.best, folder, self.start)
        card["stopped_early"] = self.start if self.patience.over else None
        self.last = card["stopped_early"] or experiment.steps  # the step that ends the run
        self.indices: Mapping[str, checks.Indices] = lane.indices if lane else {}
        self.unevaluated = self.start if card.pop("unevaluated", 0) == self.start < self.last else 0
        logged: set[str] = set()  # splits whose evaluation at `start` is logged already
        if resumed and processes.first():
            logged = rewind(folder, self.start, self.start == self.last, card.get("step"))
            self.checkpoints.set_aside(self.start)
        program: tuple[Step, list[str]] = (lane.step, lane.names) if lane else self._compiled(example)
        self.step_fn, self.names = program
        self.log = Log(folder, experiment.steps, self.start, processes.first(), told=lane is None)
        cached = compilation_cache.found()
        if total := sum(cached.values()):
            self.log.say(f"compiled in {self.spent['compile']:.1f} s, {cached['hits']} of {total} programs from the cache")
        self.waiting: list[tuple[int, jax.Array]] = []  # steps whose metrics are still on the device
        self.results = Results(experiment, self.evaluator, self.log, busy, self.start, logged)
        self.rate, self.mark, self.paid = 0.0, 0.0, self.start
        self.shown = -1  # once training is over: the step that the state is of

    def _compiled(self, example: Any) -> tuple[Any, list[str]]:
        began = time.monotonic()
        names: list[str] = []
        step = packed_step(self.objectives, self.flags, names)
        shardings = jax.tree.map(lambda x: x.sharding, self.abstract)
        with checks.declared() as self.indices:
            compiled = compile_step(step, self.layout, self.abstract, shardings, example)
        self.spent["compile"] += time.monotonic() - began
        checks.check_indices({"train": self.experiment.train, **self.experiment.eval}, self.indices)
        return compiled, names

    def run(self, until: int | None = None, came: Sequence[int] = ()) -> int:
        """Train to the last step, to `until`, or until a signal `came`; the exit code."""
        return loop(self, until, came)

    def batches(self) -> Iterator[Any]:
        """The batches of the steps from `start` to `last`, on the devices."""
        made = self.stream.steps(self.start, self.last, self.flags.threads) if self.start < self.last else iter(())
        made = checks.watched(made, self.experiment.train, self.indices)
        return (self.layout.put(batch, self.experiment.batch) for batch in made)

    def keep_mark(self, step: int) -> None:
        """Keep the parameters' hash, for `dlcore verify`."""
        self.card.setdefault("marks", {})[str(step)] = cards.mark(self.state.params)

    @uninterrupted()
    def report(self, keep: int) -> None:
        """Log the steps whose metrics are due: all but the last `keep`, which the device may still be computing."""
        count = max(0, len(self.waiting) - keep)
        due, self.waiting = self.waiting[:count], self.waiting[count:]
        if due:
            numbers = np.asarray(jax.device_get([packed for _, packed in due]), np.float64)
            self.tell([step for step, _ in due], numbers, self.waiting[-1][0] if self.waiting else due[-1][0])

    def tell(self, steps: Sequence[int], numbers: np.ndarray, ahead: int) -> None:
        """Check and log the metrics [steps, metrics, 2] of these steps; training has come to the step `ahead`."""
        ending.check_folder(self)
        self._check(steps, numbers)
        now = time.monotonic()
        if ahead > self.paid:
            self.rate = (ahead - self.paid) * self.experiment.batch / max(now - self.mark, 1e-9)
        self.spent["train"] += now - self.mark
        self.mark, self.paid = now, ahead
        sums = numbers.sum(0)
        self.log.train(steps[-1], {n: t / w for n, (t, w) in zip(self.names, sums.tolist(), strict=True) if w}, self.rate)
        self.log.tick(ahead)

    def _check(self, steps: Sequence[int], numbers: np.ndarray) -> None:
        for step, metric, found in ending.not_finite(self.names, self.objectives, steps, numbers):
            raise self._diverged(step, metric, f"is {found}", "look at the data of that step")

    def _check_parameters(self, step: int) -> None:
        """A finite loss with a finite gradient may still end in an update that is not: that is no state to save."""
        for name in ending.not_finite_parts(self.state.params):
            raise self._diverged(step, f"{name}/params", "are not finite after that step's update", "look at the optimizer")

    def _diverged(self, step: int, metric: str, what: str, way: str) -> Diverged:
        self.best.write()
        self.checkpoints.wait()  # the last one may still be on its way to the disk
        last = max(self.checkpoints.steps(), default=None)
        good = f"the last finite checkpoint is that of step {last}" if last else "no checkpoint was written before"
        good, fault = good + (loss_at(self.folder, last) if last else ""), self._fault_in_data(step)
        return Diverged(
            f"step {step}: objective {metric.split('/')[0]!r}: {metric} {what}; {good} in {self.checkpoints.folder}. "
            + (f"The data are at fault: {fault}" if fault else f"Lower the learning rate, clip gradients, or {way}")
        )

    def _fault_in_data(self, step: int) -> str:
        """What is wrong with the batch of a step, of all processes; empty where nothing is."""
        whole = replace(self.stream, rows=np.arange(self.experiment.batch))
        return checks.find_fault(whole.at(step - 1), whole.index(step - 1), self.indices)

    def _pause(self) -> float:
        """Bring the books up to date before something that is not training; the time now."""
        self.report(keep=0)
        return time.monotonic()

    def evaluate(self, step: int) -> None:
        """Measure the splits, but for the test split, which is looked at once; the best state is kept."""
        began = self._pause()
        self.results.measure(self.state, step)
        self._check_parameters(step)
        with uninterrupted():
            self.results.tell()
            ending.check_folder(self)
            self.best.note(self.state, step, self.results.values, regular=step % self.save_every == 0 or step == self.last)
            self.unevaluated = 0
        if self.flags.diagnose and self.experiment.steps >= diagnose.WORTH:
            self._diagnose(step)
        self._resume_clock(began, "eval")

    def run_out(self, step: int) -> None:
        """End the run here if the evaluations have not become better for as long as `--patience` says."""
        self.patience.note(self.results.values)
        if self.patience.over:
            self.last = self.card["stopped_early"] = step
            told = f"{self.best.metric} has not become better in {self.flags.patience} evaluations"
            self.log.say(f"step {step}: {told}: the run ends here")

    def _diagnose(self, step: int) -> None:
        """Keep what the batch of the next step would do to every tensor."""
        found = self.diagnosis(self.state, self.layout.put(self.stream.at(step), self.experiment.batch))
        if processes.first():
            diagnosis_summary.write(self.folder, step, found)

    def _resume_clock(self, began: float, book: str | None = None) -> None:
        now = time.monotonic()
        if book:
            self.spent[book] += now - began
        self.mark = now

    def save(self, step: int) -> None:
        """Write a checkpoint, and the card; evaluates first if this step is the last."""
        began = self._pause()  # every step before this one has been checked: a checkpoint is never of a diverged state
        self._check_parameters(step)
        if step == self.last and self.results.step != step:
            self.evaluate(step)
        self.busy(f"saving step {step}")
        self._checkpoint(step)
        self._resume_clock(began)

    def save_as_it_is(self) -> None:
        """Write a checkpoint, and the card, without an evaluation; `resume` makes up for one that was interrupted."""
        if self.shown >= 0:  # the last state is saved, and is not at hand any more
            return
        step = int(self.state.step)
        self._check_parameters(step)
        self.card |= {"unevaluated": step} if self.unevaluated else {}
        self._checkpoint(step)

    @uninterrupted()
    def _checkpoint(self, step: int) -> None:
        ending.check_folder(self)
        self.best.write()
        self.checkpoints.save(self.state, step, flat(self.results.values) if self.results.step == step else None)
        self.card |= {"step": step, "best": self.best.entry()}
        self.write_card()

    def write_card(self) -> None:
        """Bring the card up to date, and write it."""
        self.spent["total"] = self.before + time.monotonic() - self.began
        self.card["seconds"] = {k: round(v, 3) for k, v in self.spent.items()}
        trained = self.card.get("step", 0) * self.experiment.batch
        self.card["examples_per_second"] = round(trained / self.spent["train"], 1) if self.spent["train"] else None
        self.card["peak_memory_bytes"] = cards.peak_memory()
        self.card["compilation_cache"] = compilation_cache.found()
        self.card["results"] = self.results.values
        if processes.first():
            cards.write(self.folder, self.card)

    def finish(self, code: int) -> None:
        """Close the books; a complete run leaves what is measured at the end, and its samples."""
        if code == DONE and self.shown < 0:
            self.take_best()
        self.checkpoints.close()
        if code == DONE:
            began = time.monotonic()
            state = self.results.complete(self.state, self.shown, self.best.results(self.shown))
            self._resume_clock(began, "eval")
            self.busy("drawing samples")
            if self.experiment.sample and processes.first():
                sample_files.save(self.folder / "samples", self.experiment.sample(state, jax.random.key(self.flags.seed)))
        self.card["status"] = "done" if code == DONE else "stopped"
        self.write_card()
        self.log.close()
        processes.barrier("the end", seconds=24 * 3600)  # the first process draws samples alone

    def take_best(self) -> None:
        """Training is over: from here on the state is the best one, or the last where nothing is `best`."""
        if self.results.step != self.last:  # resumed at its end
            self.evaluate(self.last)
            self._checkpoint(self.last)  # it is there, and may lack its metrics
        self.card["params_sha256"]["end"] = cards.sha256(self.state.params)
        self.checkpoints.wait()
        self.shown = self.best.final_step(self.last)
        if self.shown != self.last:
            del self.state  # the device need not hold both
            self.state = self.best.state(self.abstract, self.shown)
            self.shown = int(self.state.step)
        self.card["best"] = self.best.entry(self.shown)


def fit(experiment: Experiment, flags: Flags, folder: Path, card: cards.Card, resumed: bool = False) -> int:
    """Train `experiment` in `folder`, from its newest sound checkpoint if `resumed`; the exit code of the run."""
    stacks = folder / ("stacks.txt" if processes.first() else f"stacks-{jax.process_index()}.txt")
    books, dog = ending.closing([folder], [card], f"dlcore resume {folder}"), Watchdog(flags.stall, stacks)
    # Asked to stop while it compiles, a run ends after its first step.
    with asked_to_stop() as came, dog, notices.Notices(processes.first(), dog.tell) as busy, books:
        run = Fit(experiment, flags, folder, card, resumed, busy)
        try:
            return ending.finished(run, [run], came)
        except (Diverged, UsageError) as error:
            ending.fail(run, error)
            if isinstance(error, UsageError):
                raise
            run.log.say(f"dlcore: {error}")
            return FAILED
        finally:
            run.log.close()
