"""Metrics of a run in Weights & Biases or MLflow, beside metrics.jsonl and TensorBoard."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import queue
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from dlcore.errors import UsageError
from dlcore.runs.card_fields import Card
from dlcore.runs.changes import flat
from dlcore.runs.log import MetricWriter, records
from dlcore.runs.trackers import Mlflow, Tracker, Wandb

Kind = Literal["", "wandb", "mlflow"]
TIMEOUT_SECONDS = 60.0  # for what is still queued when the run ends


@contextlib.contextmanager
def tracked(kind: Kind, folder: Path, card: Card) -> Iterator[list[MetricWriter]]:
    """Opens the tracker of a run for the block; a resumed run continues in the same tracked run.

    The identity of the tracked run and what was sent are kept in the run's tracked.json. Metrics in
    metrics.jsonl that were not sent before are sent first.

    Args:
        kind: the tracker; "": none.
        folder: the run.
        card: its card, whose status shows at the end whether the run is complete.

    Yields:
        The writers to which the run's log writes metrics: one, or none.

    Raises:
        UsageError: the package is missing, or cannot start (no key, no server); or the record of
            what was sent is damaged.
    """
    if not kind:
        yield []
        return
    sent = Sent.load(folder / "tracked.json")
    options = {name: value for name, value in card["run"].items() if name != "out"}
    config = {**flat(card["config"]), **options}
    try:
        begin: Callable[..., Tracker] = Wandb if kind == "wandb" else Mlflow
        tracker = begin(f"{card['experiment']}-{sent.id}", config, sent.id, folder)
    except UsageError:
        raise
    except Exception as error:  # packages raise many kinds for keys and servers
        remedies = {"wandb": "wandb login, or WANDB_MODE=offline"}
        remedy = remedies.get(kind, "check MLFLOW_TRACKING_URI")
        reason = str(error).strip() or type(error).__name__
        raise UsageError(
            f"--track {kind} cannot start: {reason.splitlines()[0]}; {remedy}"
        ) from error
    sent.save(folder / "tracked.json")
    writer = TrackingWriter(kind, tracker, folder, sent)
    for step, record in records(folder / "metrics.jsonl"):  # a killed process may not have sent all
        split = str(record.get("split", ""))
        numbers = {name: x for name, x in record.items() if isinstance(x, int | float)}
        writer.write(step, split, {name: x for name, x in numbers.items() if name != "step"})
    try:
        yield [writer]
    finally:
        writer.close(done=card.get("status") == "done")


@dataclasses.dataclass
class Sent:
    """What was sent to a tracker, which a resume does not send again.

    Attributes:
        id: the identity of the run in the tracker.
        step: the last step of which values were sent; 0 before.
        splits: the splits whose values of `step` were sent.
        names: "split/metric" of every metric that was ever sent.
    """

    id: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex[:12])
    step: int = 0
    splits: list[str] = dataclasses.field(default_factory=list)
    names: list[str] = dataclasses.field(default_factory=list)

    @classmethod
    def load(cls, file: Path) -> Sent:
        """Reads the record from a file; a new one where there is no file.

        Raises:
            UsageError: the file is damaged.
        """
        try:
            kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
            if not isinstance(kept, dict):
                raise TypeError(f"it is {kept!r}")
            kinds = {"id": str, "step": int, "splits": list, "names": list}
            for name in [name for name in kinds if name in kept]:
                if not isinstance(kept[name], kinds[name]):
                    raise ValueError(f"{name} is {kept[name]!r}")
            return cls(**{name: kept[name] for name in kinds if name in kept})
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(
                f"{file} is damaged ({error}): remove it, and the tracker gets the run once more"
            ) from error

    def save(self, file: Path) -> None:
        """Replaces the file atomically."""
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps(dataclasses.asdict(self)) + "\n", encoding="utf-8")
        fresh.replace(file)

    def unsent(self, step: int, split: str, values: Mapping[str, float]) -> dict[str, float]:
        """Returns the values that still have to be sent, without recording them (see `add`).

        These are all values if `step` is after the last step that was sent, or is that step and
        `split` was not sent for it. Else they are those of metrics that were never sent, at any
        step: the step is then either trained again after a resume, and has no such metric, or it
        is that of the best state, which gets further metrics at the end.

        Args:
            step, split: of the values.
            values: {"split/metric": value}.
        """
        if step < self.step or (step == self.step and split in self.splits):
            return {name: value for name, value in values.items() if name not in self.names}
        return dict(values)

    def add(self, step: int, split: str, names: Mapping[str, float]) -> None:
        """Records, in memory, that values were sent.

        Args:
            step, split: of the values.
            names: a mapping whose keys are "split/metric"; its values are not used.
        """
        self.splits = [*self.splits, split] if step == self.step else [split]
        self.step, self.names = step, sorted({*self.names, *names})


class TrackingWriter:
    """Sends metrics to a tracker from a background thread, each value once.

    Metrics of a step before the last one that was sent are logged at that last step, as steps must
    not decrease. After an error of the tracker nothing more is sent, a warning is printed on
    standard error, and the run continues.

    Args:
        kind: the name of the tracker, for messages.
        tracker: the outlet.
        folder: the run; `sent` is kept in its tracked.json.
        sent: what was sent before.
    """

    def __init__(self, kind: str, tracker: Tracker, folder: Path, sent: Sent) -> None:
        self._kind, self._tracker, self._folder, self._sent = kind, tracker, folder, sent
        self._failed = False
        self._queue: queue.SimpleQueue[tuple[int, str, dict[str, float]] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._send_all, daemon=True, name="tracking")
        self._thread.start()

    def write(self, step: int, split: str, metrics: Mapping[str, float]) -> None:
        """Queues the finite metrics of a step."""
        values = {f"{split}/{name}": v for name, v in metrics.items() if math.isfinite(v)}
        self._queue.put((step, split, values))

    def close(self, done: bool) -> None:
        """Sends what is queued, then ends the tracked run; if sending takes over 60 s, only warns.

        Args:
            done: the run is complete; False: it was stopped and may be resumed.
        """
        self._queue.put(None)
        self._thread.join(TIMEOUT_SECONDS)
        if self._thread.is_alive():
            _warn(f"--track {self._kind} does not answer; {self._log} has all metrics")
            return
        try:
            self._tracker.end(done)
        except Exception as error:
            if not self._failed:
                self._fail(error)

    @property
    def _log(self) -> Path:
        return self._folder / "metrics.jsonl"

    def _send_all(self) -> None:
        while (record := self._queue.get()) is not None:
            if self._failed:
                continue
            try:
                self._send(*record)
            except Exception as error:  # failures of network or server do not end the run
                self._fail(error)
            if self._queue.empty() or self._failed:
                self._keep_sent()
        self._keep_sent()  # what was sent when the end was queued already

    def _keep_sent(self) -> None:
        with contextlib.suppress(OSError):  # of a full disk the run itself reports
            self._sent.save(self._folder / "tracked.json")

    def _send(self, step: int, split: str, values: Mapping[str, float]) -> None:
        unsent = self._sent.unsent(step, split, values)
        if unsent:
            step = max(step, self._sent.step)
            self._tracker.log(step, unsent)
            self._sent.add(step, split, unsent)

    def _fail(self, error: Exception) -> None:
        self._failed = True
        reason = f"tracking ended after step {self._sent.step} ({error})"
        _warn(f"{reason}; the run continues, and {self._log} has all metrics")


def _warn(message: str) -> None:
    print(f"dlcore: warning: {message}", file=sys.stderr, flush=True)
