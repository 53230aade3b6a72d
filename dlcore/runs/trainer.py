"""The trainer: runs a program for the loop, and lets its runs log, evaluate and save."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import jax

from dlcore import sharding
from dlcore.analysis import diagnose
from dlcore.runs.clock import Clock
from dlcore.runs.ending import Diverged
from dlcore.runs.loop import DONE, Intervals, loop
from dlcore.runs.measurement import Measurement, MutableResults, Progress
from dlcore.runs.program import Program
from dlcore.runs.run import Results, Run
from dlcore.runs.summary import seed_means, spread, summary
from dlcore.runtime import compilation_cache, processes
from dlcore.runtime.signals import uninterrupted
from dlcore.train.evaluate import averaged
from dlcore.train.evaluators import is_due
from dlcore.train.step import Batch, State

# The card keeps hash and norm of the parameters at these steps, for `dlcore verify`.
HASH_STEPS = (10, 100, 1000)


def no_progress(_: str) -> None:
    """Ignores the message."""


class Trainer:
    """Trains the runs of a program: one run, or one for each of several seeds.

    The constructor restores or initialises the states, compiles the program and opens the logs.
    `train` trains, and closes the runs unless it returns at `until` or raises. A run that diverges
    is closed as failed, and the others continue. Every run owns its folder, card, log, checkpoints.
    `state` is the program's newest state; after complete training, that of the best states.

    Args:
        program: the computation; it is compiled here.
        runs: one for each state of the program.
        intervals: numbers of steps between logs, evaluations and checkpoints.
        on_progress: is called with a description of each phase when it starts.
        start: the step at which resumed runs are restored (0: initial states); None: that of the
            newest valid checkpoints.
    """

    def __init__(
        self,
        program: Program,
        runs: Sequence[Run],
        intervals: Intervals,
        on_progress: Progress = no_progress,
        start: int | None = None,
    ) -> None:
        self.program, self.runs, self.intervals = program, list(runs), intervals
        self._on_progress = on_progress
        self.experiment = self.runs[0].experiment
        self.clock = Clock(self.experiment.batch * len(self.runs))
        self._measure = Measurement(program, self.experiment, len(self.runs), on_progress)
        self._failed: set[int] = set()
        self._pending: list[tuple[int, jax.Array]] = []  # steps, with metrics still on the device
        restored = [run.restored(program, start) for run in self.runs]
        initial = program.initial() if any(state is None for state in restored) else []
        states = [initial[i] if state is None else state for i, state in enumerate(restored)]
        del restored, initial
        for run, state in zip(self.runs, states, strict=True):
            run.begin(state, self.experiment.steps)
        self._step = self.start = self.runs[0].start  # the step of the state
        self.last = self.runs[0].card["stopped_early"] or self.experiment.steps
        self._states: list[State] | None = states if len(states) > 1 else None
        self.state = program.join(states)
        with self.clock.pause("compile"):
            program.compile()
        for run in self.runs:
            run.open_log()
        cached = compilation_cache.found()
        if total := sum(cached.values()):
            seconds = self.clock.seconds["compile"]
            self.runs[0].log.say(
                f"compiled in {seconds:.1f} s, {cached['hits']} of {total} programs from the cache"
            )

    @property
    def stride(self) -> int:
        """Steps of one call of the program."""
        return self.program.stride

    def train(self, until: int | None = None, received_signals: Sequence[int] = ()) -> int:
        """Trains to the last step, to `until` or to a signal; returns the exit code of `loop`.

        Raises:
            Diverged: all runs have diverged.
            UsageError: something cannot be written, or a run's folder was removed or renamed.
        """
        return loop(self, until, received_signals)

    def batches(self) -> Iterator[Batch]:
        """Yields the batches of the steps from `start` to `last`, on the devices."""
        return self.program.batches(self.start, self.last)

    def begin(self) -> None:
        """Starts training; first repeats an evaluation that was interrupted."""
        self.clock.start_training(self.start)
        if any(run.unevaluated for run in self.runs):
            self._evaluate(self.start)
            self._stop_early(self.start)

    def step(self, batches: Iterator[Batch], step: int) -> None:
        """Trains on the next of `batches`, up to `step`; at `HASH_STEPS` cards keep a hash."""
        self._on_progress(f"step {step}")
        batch = next(batches)
        # The step donates the state's buffers: no signal may come before the new state is stored.
        with uninterrupted():
            self._states = None
            self.state, packed = self.program.step(self.state, batch)
            self._step = step
            self._pending.append((step, packed))
            jax.block_until_ready(self._pending[max(-self.program.ahead, -len(self._pending))][1])
            if step in HASH_STEPS:
                states = self._split()
                self._each(lambda number, run: run.keep_hash(states[number], step))

    def _split(self) -> list[State]:
        """The states of the runs."""
        if len(self.runs) == 1:
            return self.program.split(self.state)
        if self._states is None:
            self._states = self.program.split(self.state)
        return self._states

    def _each(self, act: Callable[[int, Run], None]) -> None:
        """Calls `act` with every run that has not failed; raises Diverged if all have failed."""
        for number, run in enumerate(self.runs):
            if number in self._failed:
                continue
            try:
                act(number, run)
            except Diverged as error:
                self._failed.add(number)
                run.fail(error, self.clock)
                several = len(self.runs) > 1
                self._say(
                    f"dlcore: seed {run.flags.seed}: {error}. The other seeds continue"
                    if several
                    else f"dlcore: {error}"
                )
        if len(self._failed) == len(self.runs):
            raise Diverged("all runs have diverged")

    def _say(self, line: str) -> None:
        """Prints a line on the terminal."""
        if len(self.runs) == 1:
            self.runs[0].log.say(line)
        else:
            print(line, file=sys.stderr, flush=True)

    @uninterrupted()
    def log(self, keep: int) -> None:
        """Logs means over all pending steps but the last `keep`, which may still be computed."""
        newest = self._pending[-1][0] if self._pending else 0
        ready = [packed for step, packed in self._pending if step <= newest - keep]
        if not ready:
            return
        done = self._pending[len(ready) - 1][0]
        self._pending = self._pending[len(ready) :]
        values = self.program.metric_values(ready)  # [runs, steps, metrics, 2]
        steps = range(done - values.shape[1] + 1, done + 1)
        self.clock.trained_until(newest)
        speed, names = self.clock.examples_per_second, self.program.metric_names
        each = speed / len(self.runs)
        self._each(
            lambda number, run: run.log_training(names, steps, values[number], each, self.program)
        )
        if len(self.runs) == 1:
            self.runs[0].log.tick(newest)
            return
        running = [number for number in range(len(self.runs)) if number not in self._failed]
        means = seed_means(names, values[running].sum(1))
        self._say(f"step {done}/{self.last}  {spread(means, '.4g')}  {speed:,.0f} examples/s")

    def evaluation_is_due(self, step: int) -> bool:
        """Returns whether losses or an evaluator are due at a step."""
        regular = step % self.intervals.eval_every == 0
        return regular or any(is_due(each, step, regular) for each in self.experiment.evaluators)

    def evaluate(self, step: int) -> None:
        """Runs the evaluations that are due, except on the test split; may lower `last`."""
        for run in self.runs:
            run.unevaluated = step
        self._evaluate(step)
        self._stop_early(step)

    def _evaluate(self, step: int) -> None:
        """Evaluates the runs whose `unevaluated` is set."""
        self.log(keep=0)
        with self.clock.pause("eval"):
            regular = step % self.intervals.eval_every == 0 or step == self.last
            during = (
                [split for split in self.experiment.evaluated if split != "test"] if regular else []
            )
            due = [each for each in self.experiment.evaluators if is_due(each, step, regular)]
            results = self._measure.losses(self.state, step, during)
            states = self._split()
            self._measure.add_scores(results, states, step, due, True, self._failed)
            saved = step % self.intervals.save_every == 0 or step == self.last

            def evaluated(number: int, run: Run) -> None:
                if run.unevaluated:
                    run.check_parameters(states[number], step, self.program)
                    run.log_evaluation(states[number], step, results[number], saved)

            self._each(evaluated)
            if regular and self._diagnoses:
                found = self.program.diagnose(self.state, step)
                self._each(lambda number, run: run.log_diagnosis(step, found[number]))
            self._say_summary(step)

    @property
    def _diagnoses(self) -> bool:
        """Whether tensors are diagnosed at evaluations."""
        how = self.runs[0].flags.diagnose
        return how == "always" or (how == "auto" and self.experiment.steps >= diagnose.WORTH)

    def _say_summary(self, step: int) -> None:
        if len(self.runs) > 1:
            running = [run for number, run in enumerate(self.runs) if number not in self._failed]
            for split, line in summary([run.metrics.values for run in running]).items():
                self._say(f"step {step} {split}: {line}")

    def _stop_early(self, step: int) -> None:
        """Ends training if a single run no longer improves; seeds always train equally long."""
        if len(self.runs) == 1 and self.runs[0].stops_early(step):
            self.last = step

    def save(self, step: int) -> None:
        """Writes checkpoint and card of every run; evaluates first if this is the last step."""
        # This checks all steps up to now, so that no diverged state is saved.
        self.log(keep=0)
        if step == self.last and any(run.metrics.step != step for run in self.runs):
            self._evaluate_outdated(step)
        with self.clock.pause():
            self._on_progress(f"saving step {step}")
            states = self._split()

            def save(number: int, run: Run) -> None:
                run.check_parameters(states[number], step, self.program)
                run.save(states[number], step, self.clock)

            self._each(save)

    def _evaluate_outdated(self, step: int) -> None:
        """Evaluates the runs whose newest results are older than this step."""
        for run in self.runs:
            run.unevaluated = step if run.metrics.step != step else 0
        self._evaluate(step)

    def save_unevaluated(self) -> None:
        """Writes checkpoint and card without an evaluation; `resume` repeats an interrupted one."""
        # After the last step the state is saved already, and is no longer in memory.
        if any(run.final_step >= 0 for run in self.runs):
            return
        step, states = self._step, self._split()

        def save(number: int, run: Run) -> None:
            run.check_parameters(states[number], step, self.program)
            run.card |= {"unevaluated": step} if run.unevaluated else {}
            run.save(states[number], step, self.clock)

        self._each(save)

    def finish(self, code: int) -> None:
        """Closes the runs; complete ones are first measured and sampled at their best states."""
        if code == DONE:
            self._complete()
        else:
            self._each(lambda number, run: run.checkpoints.close())
        status = "done" if code == DONE else "stopped"
        self._each(lambda number, run: run.close(status, self.clock))
        processes.barrier("the end", seconds=24 * 3600)  # the first process draws samples alone

    def _complete(self) -> None:
        if any(
            run.metrics.step != self.last
            for number, run in enumerate(self.runs)
            if number not in self._failed
        ):
            self._evaluate_outdated(self.last)  # resumed at its end
            step, states = self.last, self._split()
            # The checkpoint may lack its metrics.
            self._each(lambda number, run: run.save(states[number], step, self.clock))
        finals: list[State | None] = list(self._split())
        self.state = self._states = None  # type: ignore[assignment]  # saves memory
        self._each(lambda number, run: run.take_best(finals, number, self.program, self.last))
        self._each(lambda number, run: run.checkpoints.close())
        states = cast(list[State], finals)  # `take_best` has put another state in each place
        self.state = self.program.join(states)
        with self.clock.pause("eval"):
            self._measure_final(states)

    def _measure_final(self, finals: list[State]) -> None:
        """Measures the final states, and draws their samples."""
        known: list[Results] = [run.known_results() for run in self.runs]
        missing = [
            split for split in self.experiment.evaluated if any(split not in each for each in known)
        ]
        step = max(run.final_step for run in self.runs)
        found = self._measure.losses(self.state, step, missing)
        merged: list[MutableResults] = []
        for new, before in zip(found, known, strict=True):
            rest = {split: metrics for split, metrics in new.items() if split not in before}
            merged.append({split: dict(metrics) for split, metrics in {**before, **rest}.items()})
        states = self._on_host(finals)
        scheduled = [each for each in self.experiment.evaluators if each.every != "end"]
        self._measure.add_scores(merged, states, step, scheduled, True, self._failed)
        # Training has logged these metrics at that step, maybe in an earlier process.
        earlier = [
            {split: dict(metrics) for split, metrics in each.items() if split != "test"}
            for each in merged
        ]
        self._measure.add_scores(
            merged, states, step, self.experiment.evaluators, False, self._failed
        )

        def complete(number: int, run: Run) -> None:
            run.metrics.log_final(run.final_step, merged[number], earlier[number])
            run.keep_model(hosts[number])
            self._on_progress("drawing samples")
            run.draw_samples(hosts[number])

        hosts = self._on_host([averaged(state) for state in finals])
        self._each(complete)

    def _on_host(self, states: Sequence[State]) -> list[State]:
        """The states, readable by each process alone: shards are gathered from all processes."""
        return (
            [sharding.to_host(state) for state in states]
            if jax.process_count() > 1
            else list(states)
        )

    def close(self) -> None:
        """Waits for pending saves, and closes checkpoints and logs; writes no card."""
        for run in self.runs:
            run.checkpoints.close()
            run.log.close()
