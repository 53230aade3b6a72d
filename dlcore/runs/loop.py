"""The training loop: the only loop over steps, for all experiments."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from dlcore.options import RunOptions
from dlcore.runtime import memory, processes
from dlcore.train.step import Batch

DONE, PREEMPTED, FAILED, INTERRUPTED = 0, 75, 70, 130


@dataclass(frozen=True)
class Intervals:
    """The numbers of steps between two logs, evaluations, and checkpoints.

    Attributes:
        log_every, eval_every, save_every: numbers of steps, at least 1.
    """

    log_every: int
    eval_every: int
    save_every: int

    @classmethod
    def of(cls, flags: RunOptions, steps: int, saves: int = 10) -> Intervals:
        """Returns the intervals of the run options.

        Args:
            flags: the run options. Where `eval_every` is 0, it becomes `steps` // 10; where
                `save_every` is 0, `steps` // `saves`; both at least 1.
            steps: the number of steps of the whole run.
            saves: the number of checkpoints by default.
        """
        return cls(
            flags.log_every,
            flags.eval_every or max(1, steps // 10),
            flags.save_every or max(1, steps // saves),
        )


class Trainable(Protocol):
    """Performs the steps of a run for `loop`, which reads these attributes and sets none.

    Attributes:
        start: the step that training continues from.
        last: the step that ends training; `evaluate` may lower it (early stopping).
        intervals: numbers of steps between logs, evaluations and checkpoints.
    """

    start: int
    last: int
    intervals: Intervals

    @property
    def stride(self) -> int:
        """The number of steps of one call of `step`; divides the intervals and `last` - `start`."""

    def batches(self) -> Iterator[Batch]:
        """Yields the batches of the steps from `start` to `last`, `stride` steps at a time."""

    def begin(self) -> None:
        """Starts training; first repeats an evaluation that was interrupted."""

    def step(self, batches: Iterator[Batch], step: int) -> None:
        """Trains `stride` steps, which bring the state to `step`.

        Args:
            batches: what `batches` has returned; the next one is taken.
            step: the step after the call.
        """

    def log(self, keep: int) -> None:
        """Logs means over all pending steps but the last `keep`, which may still be computed.

        A step is pending until it is logged; each call logs one mean of every metric.
        """

    def evaluation_is_due(self, step: int) -> bool:
        """Returns whether anything is evaluated at a step."""

    def evaluate(self, step: int) -> None:
        """Runs the evaluations that are due, except on the test split; may lower `last`."""

    def save(self, step: int) -> None:
        """Writes a checkpoint and the card; at the last step, evaluates first."""

    def finish(self, code: int) -> None:
        """Closes the run; if `code` is DONE, first measures and samples it at its best state."""


def loop(trainer: Trainable, until: int | None = None, received_signals: Sequence[int] = ()) -> int:
    """Trains to the last step, to `until`, or until a signal is received.

    Args:
        trainer: performs the steps.
        until: a step after which DONE is returned without evaluation, checkpoint and `finish`; it
            must end a call of `trainer.step`. None: no such step.
        received_signals: the signals received so far; grows while the loop runs.

    Returns:
        The exit code: DONE; after a signal INTERRUPTED, if the first one that this process has
        received is SIGINT (Ctrl-C), else PREEMPTED. A checkpoint is saved, and `finish` is called.
    """
    code, every = DONE, trainer.intervals
    batches = trainer.batches()
    trainer.begin()
    with memory.Collector() as collector:
        for before in range(trainer.start, trainer.last, trainer.stride):
            step = before + trainer.stride
            trainer.step(batches, step)
            collector.collect_if_due()
            if step == until:
                trainer.log(keep=0)
                return DONE
            if step % every.log_every == 0 or step == trainer.last:
                trainer.log(keep=every.log_every if step < trainer.last else 0)
            if step < trainer.last and trainer.evaluation_is_due(step):
                trainer.evaluate(step)
            if processes.stop_requested(step, received_signals):
                interrupted = received_signals and received_signals[0] == signal.SIGINT
                code = INTERRUPTED if interrupted else PREEMPTED
            if step == trainer.last or step % every.save_every == 0 or code:
                trainer.save(step)
            if step == trainer.last or code:
                break
    trainer.finish(code)
    return code
