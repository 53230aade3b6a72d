"""The one loop: every family trains through it, and nothing else loops over steps."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import jax

from dlcore.runtime import processes
from dlcore.runtime.signals import uninterrupted

DONE, PREEMPTED, FAILED, INTERRUPTED = 0, 75, 70, 130
MARKS = (10, 100, 1000)  # steps whose parameters' hash and norm the card keeps, for `dlcore verify`


Busy = Callable[[str], None]  # is told what the run does from now on


def silent(_: str) -> None:
    """Nobody watches."""


class Run(Protocol):
    """What is driven: a compiled step with its state and batches, and the books that are kept about it."""

    state: Any
    start: int
    last: int  # the step that ends it; the books may bring it nearer
    stride: int  # steps of one call of `step_fn`; divides every step at which something else is due
    ahead: int  # calls that the host may be ahead of the device
    log_every: int
    eval_every: int
    save_every: int
    mark: float  # when training went on, and
    paid: int  # the step up to which its speed was told
    waiting: list[tuple[int, Any]]  # steps whose metrics are still on the device
    unevaluated: int  # the step whose evaluation was interrupted, or 0
    busy: Busy

    def step_fn(self, state: Any, batch: Any, /) -> tuple[Any, Any]:
        """`stride` compiled steps: the state after them, and their metrics."""

    def batches(self) -> Iterator[Any]:
        """The batches of the steps from `start` to `last`, on the devices, a `stride` at a time."""

    def keep_mark(self, step: int) -> None:
        """Keep the parameters' hash."""

    def report(self, keep: int) -> None:
        """Log the steps whose metrics are due: all but the last `keep`, which the device may still be computing."""

    def evaluate(self, step: int) -> None:
        """Measure the splits that are looked at during training."""

    def run_out(self, step: int) -> None:
        """End the run here if it has stopped getting better."""

    def save(self, step: int) -> None:
        """Write a checkpoint, and the card."""

    def save_as_it_is(self) -> None:
        """Write a checkpoint, and the card, without an evaluation."""

    def finish(self, code: int) -> None:
        """Close the books."""


def loop(run: Run, until: int | None = None, came: Sequence[int] = ()) -> int:
    """Train to the last step, to `until` (nothing is evaluated or saved there), or until a signal `came`. The exit code."""
    code = DONE
    batches = run.batches()
    run.mark, run.paid = time.monotonic(), run.start
    if run.unevaluated:
        _evaluate(run, run.start)
    for step in range(run.start, run.last, run.stride):
        done = step + run.stride
        run.busy(f"step {done}")
        batch = next(batches)
        with uninterrupted():  # the state is given on to the step: between the call and the assignment there is none
            run.state, packed = run.step_fn(run.state, batch)
            run.waiting.append((done, packed))
            jax.block_until_ready(run.waiting[max(-run.ahead, -len(run.waiting))][1])
            if done in MARKS:
                run.keep_mark(done)
        if done == until:
            run.report(keep=0)
            return DONE
        if done % run.log_every == 0 or done == run.last:
            run.report(keep=run.log_every if done < run.last else 0)
        if done < run.last and done % run.eval_every == 0:
            _evaluate(run, done)
        if processes.asked_to_stop(done, came):
            code = INTERRUPTED if came and came[0] == signal.SIGINT else PREEMPTED
        if done == run.last or done % run.save_every == 0 or code:
            run.save(done)
        if done == run.last or code:
            break
    run.finish(code)
    return code


def _evaluate(run: Run, step: int) -> None:
    run.unevaluated = step
    run.evaluate(step)
    run.run_out(step)
