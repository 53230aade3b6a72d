"""What a run tells while it runs: a progress bar or plain lines, metrics.jsonl, TensorBoard events."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tensorboardX import SummaryWriter

from dlcore.errors import UsageError


class Log:
    """One run's log. `active=False` (every process but the first) makes it silent; `told=False` writes it, and says nothing."""

    def __init__(self, folder: Path, steps: int, start: int, active: bool = True, told: bool = True) -> None:
        self.active, self.told, self.steps = active, told, steps
        if not active:
            return
        self.console = Console(stderr=True, soft_wrap=True)
        self.file = (folder / "metrics.jsonl").open("a", encoding="utf-8")
        self.events = SummaryWriter(str(folder), purge_step=start or None, flush_secs=10)
        self.bar: Progress | None = None
        if told and self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self.bar = Progress(
                *columns, TextColumn("{task.fields[rate]}"), TextColumn("{task.fields[told]}"), console=self.console
            )
            self.task = self.bar.add_task("training", total=steps, completed=start, rate="", told="")
            self.bar.start()
        self.began, self.start = time.monotonic(), start

    def say(self, line: str) -> None:
        """A line for the person at the terminal."""
        if self.active and self.told:
            self.console.print(line, markup=False, highlight=False)

    def tick(self, step: int) -> None:
        """Move the bar."""
        if self.active and self.bar:
            self.bar.update(self.task, completed=step)

    def train(self, step: int, metrics: Mapping[str, float], rate: float) -> None:
        """A logged training step."""
        if not self.active:
            return
        self.write(step, "train", {**metrics, "examples_per_second": rate})
        told = "  ".join(f"{k} {v:.4g}" for k, v in metrics.items() if not k.endswith("grad_norm"))
        if self.bar:
            self.bar.update(self.task, completed=step, rate=f"{rate:,.0f}/s", told=told)
        else:
            left = (time.monotonic() - self.began) / max(step - self.start, 1) * (self.steps - step)
            self.say(f"step {step}/{self.steps}  {told}  {rate:,.0f} examples/s  {left:.0f} s left")

    def write(self, step: int, split: str, metrics: Mapping[str, float]) -> None:
        """A line of metrics.jsonl, and the same for TensorBoard."""
        if not self.active:
            return
        # JSON has no NaN: null says that a number was not one.
        values = {k: v if math.isfinite(v) else None for k, v in metrics.items()}
        try:
            self.file.write(json.dumps({"step": step, "split": split, **values}) + "\n")
            self.file.flush()
        except OSError as error:
            way = f"make room, then dlcore resume {Path(self.file.name).parent}"
            raise UsageError(f"cannot write {self.file.name}: {error.strerror}; {way}") from error
        for name, number in metrics.items():
            self.events.add_scalar(f"{split}/{name}", number, step)

    def close(self) -> None:
        """Stop the bar and close the files."""
        if not self.active:
            return
        if self.bar:
            self.bar.stop()
        with contextlib.suppress(OSError):  # on a full disk; whoever wrote last has been told
            self.file.close()
        try:
            self.events.close()
        except OSError:  # the same full disk: without this its writer tries again at exit, and complains again
            writer = self.events.file_writer.event_writer
            writer._worker.stop()
            writer._closed = True
        sys.stderr.flush()


def loss_at(folder: Path, step: int) -> str:
    """ ", where net/loss was 2.3": the training losses logged last up to a step; empty where there are none."""
    path, found = folder / "metrics.jsonl", {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        with contextlib.suppress(json.JSONDecodeError, AttributeError, TypeError):
            record = json.loads(line)
            if record.get("split") == "train" and record["step"] <= step:
                found = {name: value for name, value in record.items() if name.endswith("/loss") and value is not None}
    return f", where {' and '.join(f'{name} was {value:.3g}' for name, value in found.items())}," if found else ""


def rewind(folder: Path, step: int, before: int | None = None) -> None:
    """Drop from the run's lines what was logged after `step` (and a line cut in half): the steps are about to be trained again."""
    if step == 0 and before:  # the step of the card
        warnings.warn(f"{folder} had come to step {before}, but has no checkpoint left: it begins again at step 0", stacklevel=2)
    for path in (folder / "metrics.jsonl", folder / "diagnostics.jsonl"):
        if path.exists():
            _rewind(path, step)


def _rewind(path: Path, step: int) -> None:
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:
            continue
        if record.get("step", 0) <= step:
            kept.append(line + "\n")
    fresh = path.with_suffix(".jsonl.new")
    fresh.write_text("".join(kept), encoding="utf-8")
    fresh.replace(path)
