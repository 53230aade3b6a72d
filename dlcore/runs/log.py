"""The log of a run: a progress bar or lines on the terminal, metrics.jsonl, TensorBoard events."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column
from tensorboardX import SummaryWriter

from dlcore import files
from dlcore.errors import UsageError
from dlcore.files import Json


class MetricWriter(Protocol):
    """A further outlet for the metrics of a run."""

    def write(self, step: int, split: str, metrics: Mapping[str, float]) -> None:
        """Receives the metrics of a step; must not block.

        Args:
            step: of the metrics.
            split: "train", or an evaluated split.
            metrics: {name: value}, also values that are not finite.
        """


class Log:
    """One run's log: appends metrics to metrics.jsonl, and writes them to TensorBoard.

    `train` also shows them on standard error, with speed, time left and the best value.

    Args:
        folder: the run, in which metrics.jsonl and TensorBoard's events are written.
        steps: the last step of the run.
        start: the step that training continues from.
        active: False: all methods write and print nothing, as in every process but the first.
        to_console: whether anything is printed: the training metrics on one line that changes, or,
            where standard error is no terminal, on one line for each logged step.
        writers: further outlets for the metrics.
    """

    def __init__(
        self,
        folder: Path,
        steps: int,
        start: int,
        active: bool = True,
        to_console: bool = True,
        writers: Sequence[MetricWriter] = (),
    ) -> None:
        self.active, self.to_console, self.steps = active, to_console, steps
        self._writers = writers
        self._best = ""
        if not active:
            return
        self.console = Console(stderr=True, soft_wrap=True)
        self.file = (folder / "metrics.jsonl").open("a", encoding="utf-8")
        self.events = SummaryWriter(str(folder), purge_step=start or None, flush_secs=10)
        self.bar: Progress | None = None
        if to_console and self.console.is_terminal:
            one_line = Column(no_wrap=True, overflow="ellipsis")
            self.bar = Progress(
                TextColumn("step {task.completed:.0f}/{task.total:.0f}", table_column=Column()),
                BarColumn(bar_width=12),
                TextColumn("{task.fields[line]}", markup=False, table_column=one_line),
                console=self.console,
            )
            self.task = self.bar.add_task("training", total=steps, completed=start, line="")
            self.bar.start()
        self.start_time, self.start = time.monotonic(), start

    def say(self, line: str) -> None:
        """Prints a line on standard error, unless `to_console` or `active` is False."""
        if self.active and self.to_console:
            self.console.print(line, markup=False, highlight=False)

    def tick(self, step: int) -> None:
        """Moves the progress bar to `step`; does nothing where there is no bar."""
        if self.active and self.bar:
            self.bar.update(self.task, completed=step)

    def best(self, metric: str, value: float, step: int) -> None:
        """Sets the best value so far, which is shown beside the training metrics.

        Args:
            metric: "split/name".
            value: of the metric.
            step: at which it was measured.
        """
        self._best = f"  best {metric} {value:.4g} at step {step}"

    def train(self, step: int, metrics: Mapping[str, float], rate: float) -> None:
        """Logs the training metrics of a step as split "train", and shows them on standard error.

        Args:
            step: the step.
            metrics: {name: value}; gradient norms are logged and not shown.
            rate: examples per second; is logged as "examples_per_second".

        Raises:
            UsageError: metrics.jsonl cannot be written, as on a full disk.
        """
        if not self.active:
            return
        self.write(step, "train", {**metrics, "examples_per_second": rate})
        shown = "  ".join(f"{k} {v:.4g}" for k, v in metrics.items() if not k.endswith("grad_norm"))
        each = (time.monotonic() - self.start_time) / max(step - self.start, 1)
        left = duration(each * (self.steps - step))
        line = f"{shown}  {rate:,.0f} examples/s  {left} left{self._best}"
        if self.bar:
            self.bar.update(self.task, completed=step, line=line)
        else:
            self.say(f"step {step}/{self.steps}  {line}")

    def write(self, step: int, split: str, metrics: Mapping[str, float]) -> None:
        """Writes metrics to metrics.jsonl, TensorBoard and the other writers.

        Args:
            step: the step.
            split: "train", or an evaluated split.
            metrics: {name: value}; values that are not finite become null in metrics.jsonl.

        Raises:
            UsageError: metrics.jsonl cannot be written, as on a full disk.
        """
        if not self.active:
            return
        # JSON has no NaN: null replaces numbers that are not finite.
        values = {k: v if math.isfinite(v) else None for k, v in metrics.items()}
        try:
            self.file.write(json.dumps({"step": step, "split": split, **values}) + "\n")
            self.file.flush()
        except OSError as error:
            way = f"free disk space, then dlcore resume {Path(self.file.name).parent}"
            raise UsageError(f"cannot write {self.file.name}: {error.strerror}; {way}") from error
        for name, number in metrics.items():
            self.events.add_scalar(f"{split}/{name}", number, step)
        for writer in self._writers:
            writer.write(step, split, metrics)

    def close(self) -> None:
        """Stops the bar and closes the files."""
        if not self.active:
            return
        if self.bar:
            self.bar.stop()
        with contextlib.suppress(OSError):  # on a full disk, of which the last write has warned
            self.file.close()
        try:
            self.events.close()
        # On a full disk its writer would try again at exit, and print another error.
        except OSError:
            writer = self.events.file_writer.event_writer
            writer._worker.stop()
            writer._closed = True
        sys.stderr.flush()


def duration(seconds: float) -> str:
    """Returns seconds in words: "59 s", "2:05 min", "3:07 h"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def loss_at(folder: Path, step: int) -> str:
    """Describes the training losses that were last logged up to a step.

    Args:
        folder: the run.
        step: the step.

    Returns:
        ", where net/loss was 2.3,"; "" where none was logged.
    """
    found = {}
    for number, record in records(folder / "metrics.jsonl"):
        if record.get("split") == "train" and number <= step:
            found = {
                name: value
                for name, value in record.items()
                if name.endswith("/loss") and isinstance(value, int | float)
            }
    return (
        f", where {' and '.join(f'{name} was {value:.3g}' for name, value in found.items())},"
        if found
        else ""
    )


def records(path: Path) -> Iterator[tuple[int, dict[str, Json]]]:
    """Reads metrics.jsonl or diagnostics.jsonl; damaged lines and a missing file yield nothing.

    Yields:
        The step of a line, and the line's JSON object, in which the step is an entry too.
    """
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict) and type(record.get("step")) is int:
            yield record["step"], record


def rewind(folder: Path, step: int, ended: bool = False, before: int | None = None) -> set[str]:
    """Removes from the log what was logged after `step`, as these steps will be trained again.

    Rewrites metrics.jsonl and diagnostics.jsonl. A run that has `ended` at `step` trains nothing
    and measures its final state again: the results of the final state and the diagnosis of `step`
    are removed as well, and the evaluations during training stay.

    Args:
        folder: the run.
        step: the step that training continues from.
        ended: `step` is the last step of the run.
        before: the step of the last checkpoint that the run's card records (`card["step"]`); where
            it is above 0 although `step` is 0, a warning says that the run starts again at step 0.

    Returns:
        If the run has `ended`, the splits whose evaluation at `step` during training stays in the
        log; else an empty set.
    """
    if step == 0 and before:
        warnings.warn(
            f"{folder} had reached step {before}, but has no checkpoint left: it starts again at"
            " step 0",
            stacklevel=2,
        )
    logged = [(at, record) for at, record in records(folder / "metrics.jsonl") if at <= step]
    during: dict[str, tuple[int, dict[str, Json]]] = {}
    if ended:
        trained = [i for i, (_, record) in enumerate(logged) if record.get("split") == "train"]
        last = max(trained, default=-1)
        for at, record in reversed(logged[last + 1 :]):
            if at == step and record.get("split") != "test":
                during[str(record.get("split"))] = at, record
        logged[last + 1 :] = during.values()
    _rewrite(folder / "metrics.jsonl", logged)
    found = records(folder / "diagnostics.jsonl")
    kept = [(at, record) for at, record in found if at < step + (not ended)]
    _rewrite(folder / "diagnostics.jsonl", kept)
    return set(during)


def _rewrite(path: Path, kept: Sequence[tuple[int, dict[str, Json]]]) -> None:
    if path.exists():
        files.write(path, "".join(json.dumps(record) + "\n" for _, record in kept))
