"""The books of a run: its data, its compiled step, and what is logged, evaluated, saved and said about it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dlcore import files
from dlcore.data import checks
from dlcore.data.stream import Stream
from dlcore.errors import UsageError
from dlcore.flags import Flags
from dlcore.report import samples
from dlcore.train import card as cards
from dlcore.train import diagnose, ending, notice, parallel, patience, processes, programs, verdict
from dlcore.train.checkpoint import Checkpoints, check_room
from dlcore.train.ending import Diverged
from dlcore.train.evaluate import Evaluator, packed_step
from dlcore.train.experiment import Experiment
from dlcore.train.init import initial
from dlcore.train.lanes import Diagnose, Evaluate, Lane, Step
from dlcore.train.log import Log, loss_at, rewind
from dlcore.train.loop import DONE, FAILED, Busy, loop, silent
from dlcore.train.precision import with_precision
from dlcore.train.signals import asked_to_stop, uninterrupted
from dlcore.train.watchdog import Watchdog


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
        self.spent: dict[str, float] = {
            k: float(card.get("seconds", {}).get(k, 0)) for k in ("compile", "train", "eval", "total")
        }
        self.before = self.spent["total"]
        self.layout = lane.layout if lane else parallel.layout(flags.parallel, flags.mesh)
        self.objectives = with_precision(experiment.objectives, flags.precision)
        self.stream = Stream(experiment.train, experiment.batch, flags.seed, self.layout.local_rows(experiment.batch))
        seed, micro = flags.seed, flags.microbatches
        self.evaluator: Evaluate = lane.evaluate if lane else Evaluator(self.objectives, self.layout, experiment.batch, seed)
        self.diagnosis: Diagnose = lane.diagnose if lane else diagnose.Diagnosis(self.objectives, self.layout, seed, micro)
        self.checkpoints = Checkpoints(folder / "checkpoints", flags.keep, experiment.best)
        self.eval_every = flags.eval_every or max(1, experiment.steps // 10)
        self.save_every = flags.save_every or max(1, experiment.steps // 10)
        self.log_every, self.stride = flags.log_every, 1
        # The host runs two steps ahead at most. Simulated devices share few threads: they would wait for each other.
        self.ahead = 1 if self.layout.mesh.size > 1 and jax.default_backend() == "cpu" else 3

        example = self.layout.put(self.stream.at(0), experiment.batch)
        self.abstract, make = (lane.abstract, lane.make) if lane else initial(experiment, seed, self.layout, example)
        check_room(folder, self.abstract, flags.keep, lane.together if lane else 1)
        at = lane.start if lane else None
        restored = self.checkpoints.restore(self.abstract, at) if resumed and at != 0 else None
        self.state = make() if restored is None else restored
        self.start = int(self.state.step)
        card["parameters"] = cards.parameters(self.state.params)
        if self.start == 0:
            card["params_sha256"] = {"start": cards.sha256(self.state.params), "end": None}
            card["marks"] = {}
        if resumed and processes.first():
            rewind(folder, self.start, card.get("step"))
            self.checkpoints.set_aside(self.start)
        self.patience = patience.Patience(flags.patience, experiment.best, folder, self.start)
        card["stopped_early"] = self.start if self.patience.over else None
        self.last = card["stopped_early"] or experiment.steps  # the step that ends the run
        self.indices: Mapping[str, checks.Indices] = lane.indices if lane else {}
        self.unevaluated = self.start if card.pop("unevaluated", 0) == self.start < self.last else 0
        program: tuple[Step, list[str]] = (lane.step, lane.names) if lane else self._compiled(example)
        self.step_fn, self.names = program
        self.log = Log(folder, experiment.steps, self.start, processes.first(), told=lane is None)
        cached = programs.found()
        if any(cached.values()):
            all_of_them = sum(cached.values())
            self.log.say(f"compiled in {self.spent['compile']:.1f} s, {cached['hits']} of {all_of_them} programs from the cache")
        self.waiting: list[tuple[int, jax.Array]] = []  # steps whose metrics are still on the device
        self.results: dict[str, dict[str, float]] = {}
        self.evaluated = -1  # the step that the results are of
        self.rate, self.mark, self.paid = 0.0, 0.0, self.start

    def _compiled(self, example: Any) -> tuple[Any, list[str]]:
        began = time.monotonic()
        names: list[str] = []
        step = packed_step(self.objectives, self.flags, names)
        shardings = jax.tree.map(lambda x: x.sharding, self.abstract)
        with checks.declared() as self.indices:
            compiled = parallel.compile_step(step, self.layout, self.abstract, shardings, example)
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
        watched = [f"{name}/{metric}" for name in self.objectives for metric in ("loss", "grad_norm")]
        for step, row in zip(steps, numbers, strict=True):
            for metric in watched:
                total, weight = row[self.names.index(metric)]
                if not math.isfinite(total) or not math.isfinite(weight):
                    raise self._diverged(
                        step, metric, f"is {total / weight if weight else total}", "look at the data of that step"
                    )

    def _check_parameters(self, step: int) -> None:
        """A finite loss with a finite gradient may still end in an update that is not: that is no state to save."""
        for name, finite in jax.device_get(ending.finite(self.state.params)).items():
            if not finite:
                raise self._diverged(step, f"{name}/params", "are not finite after that step's update", "look at the optimizer")

    def _diverged(self, step: int, metric: str, what: str, way: str) -> Diverged:
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

    def evaluate(self, step: int, final: bool) -> None:
        """Measure the splits; the test split, and what is measured once, only if `final`."""
        began, again = self._pause(), self.evaluated == step
        known, self.evaluated = dict(self.results) if again else {}, step
        for split, source in self.experiment.eval.items():
            if split not in known and (final or split != "test"):  # the test split is looked at once
                self.busy(f"the evaluation of {split} at step {step}")
                self.results[split] = self.evaluator(self.state, source)
        self.busy(f"the evaluation at step {step}")
        if final and self.experiment.evaluate:
            for split, metrics in self.experiment.evaluate(host_copy(self.state)).items():
                self.results[split] = {**self.results.get(split, {}), **metrics}
        with uninterrupted():
            for split, metrics in self.results.items():
                if (final or split != "test") and metrics != known.get(split):
                    self.log.write(step, split, metrics)
                    self.log.say(f"step {step} {split}: " + "  ".join(f"{k} {v:.4f}" for k, v in metrics.items()))
            self.unevaluated = 0
        if self.flags.diagnose and self.experiment.steps >= diagnose.WORTH and not again:
            self._diagnose(step)
        self._resume_clock(began, "eval")

    def run_out(self, step: int) -> None:
        """End the run here if the evaluations have not become better for as long as `--patience` says."""
        self.patience.note(self.results)
        if self.patience.over:
            self.last = self.card["stopped_early"] = step
            told = f"{self.experiment.best.lstrip('-')} has not become better in {self.flags.patience} evaluations"
            self.log.say(f"step {step}: {told}: the run ends here")

    def _diagnose(self, step: int) -> None:
        """Keep what the batch of the next step would do to every tensor."""
        found = self.diagnosis(self.state, self.layout.put(self.stream.at(step), self.experiment.batch))
        if processes.first():
            verdict.write(self.folder, step, found)

    def _resume_clock(self, began: float, book: str | None = None) -> None:
        now = time.monotonic()
        if book:
            self.spent[book] += now - began
        self.mark = now

    def save(self, step: int) -> None:
        """Write a checkpoint, and the card; evaluates first if this step is the last."""
        began = self._pause()  # every step before this one has been checked: a checkpoint is never of a diverged state
        self._check_parameters(step)
        if step == self.last:
            self.evaluate(step, final=True)
        self.busy(f"saving step {step}")
        current = self.results if self.evaluated == step else {}
        flat = {f"{split}/{name}": v for split, metrics in current.items() for name, v in metrics.items()}
        self._checkpoint(step, flat)
        self._resume_clock(began)

    def save_as_it_is(self) -> None:
        """Write a checkpoint, and the card, without an evaluation; `resume` makes up for one that was interrupted."""
        step = int(self.state.step)
        self._check_parameters(step)
        self.card |= {"unevaluated": step} if self.unevaluated else {}
        self._checkpoint(step)

    @uninterrupted()
    def _checkpoint(self, step: int, metrics: Mapping[str, float] | None = None) -> None:
        ending.check_folder(self)
        self.checkpoints.save(self.state, step, metrics)
        self.card["step"] = step
        self.write_card()

    def write_card(self) -> None:
        """Bring the card up to date, and write it."""
        self.spent["total"] = self.before + time.monotonic() - self.began
        self.card["seconds"] = {k: round(v, 3) for k, v in self.spent.items()}
        trained = self.card.get("step", 0) * self.experiment.batch
        self.card["examples_per_second"] = round(trained / self.spent["train"], 1) if self.spent["train"] else None
        self.card["peak_memory_bytes"] = cards.peak_memory()
        self.card["compilation_cache"] = programs.found()
        self.card["results"] = self.results
        if processes.first():
            cards.write(self.folder, self.card)

    def finish(self, code: int) -> None:
        """Close the books; a complete run leaves its samples."""
        self.checkpoints.close()
        if code == DONE:
            if self.start == self.last:
                self.evaluate(self.start, final=True)
            self.card["params_sha256"]["end"] = cards.sha256(self.state.params)
            state = host_copy(self.state)  # together: the parts of a sharded state come from all processes
            self.busy("drawing samples")
            if self.experiment.sample and processes.first():
                samples.save(self.folder / "samples", self.experiment.sample(state, jax.random.key(self.flags.seed)))
        self.card["status"] = "done" if code == DONE else "stopped"
        self.write_card()
        self.log.close()
        processes.barrier("the end", seconds=24 * 3600)  # the first process draws samples alone


def host_copy(state: Any) -> Any:
    """The state on this process alone, for what only one process does."""
    return state if jax.process_count() == 1 else parallel.to_host(state)


def fit(experiment: Experiment, flags: Flags, folder: Path, card: cards.Card, resumed: bool = False) -> int:
    """Train `experiment` in `folder`, from its newest sound checkpoint if `resumed`; the exit code of the run."""
    stacks = folder / ("stacks.txt" if processes.first() else f"stacks-{jax.process_index()}.txt")
    books, dog = ending.closing([folder], [card], f"dlcore resume {folder}"), Watchdog(flags.stall, stacks)
    # Asked to stop while it compiles, a run ends after its first step.
    with asked_to_stop() as came, dog, notice.Notices(processes.first(), dog.tell) as busy, books:
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
