"""Weights & Biases or MLflow beside TensorBoard: what metrics.jsonl says, forwarded while the run
goes on.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from dlcore.errors import UsageError
from dlcore.runs.changes import flat

Kind = Literal["", "wandb", "mlflow"]
PROJECT = "dlcore"
EVERY_SECONDS = 2.0
PATIENCE_SECONDS = 60.0


class Tracker(Protocol):
    """What a tracker is asked for."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers of a step."""

    def end(self, done: bool) -> None:
        """The process ends, the run being complete or not."""


class _Wandb:
    """A run of Weights & Biases. Neither its environment, its code, its git remote nor its machine
    is sent.
    """

    def __init__(self, name: str, config: Mapping[str, Any], ident: str, folder: Path) -> None:
        wandb = _imported("wandb")
        quiet = {
            "console": "off",
            "disable_git": True,
            "disable_code": True,
            "x_disable_meta": True,
            "x_disable_stats": True,
        }
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            dir=str(folder),
            id=ident,
            resume="allow",
            name=name,
            config=dict(config),
            settings=wandb.Settings(no_progress=True, **quiet),
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log(dict(values), step=step)

    def end(self, done: bool) -> None:
        self.run.finish(exit_code=0 if done else 75)


class _Mlflow:
    """A run of MLflow: on the server that MLFLOW_TRACKING_URI names, else in mlflow.db beside the
    run's folder.
    """

    def __init__(self, name: str, config: Mapping[str, Any], ident: str, folder: Path) -> None:
        mlflow, entities = _imported("mlflow"), _imported("mlflow.entities")
        where = (
            os.environ.get("MLFLOW_TRACKING_URI")
            or f"sqlite:///{folder.resolve().parent / 'mlflow.db'}"
        )
        self.client, self.metric = mlflow.MlflowClient(where), entities.Metric
        found = self.client.get_experiment_by_name(PROJECT)
        home = found.experiment_id if found else self.client.create_experiment(PROJECT)
        known = self.client.search_runs([home], f"tags.dlcore = '{ident}'")
        if known:
            self.run = known[0].info.run_id
            self.client.update_run(self.run, status="RUNNING")
            return
        self.run = self.client.create_run(home, run_name=name, tags={"dlcore": ident}).info.run_id
        self.client.log_batch(
            self.run,
            params=[entities.Param(key, str(value)[:500]) for key, value in config.items()],
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        now = int(1000 * time.time())
        self.client.log_batch(
            self.run, [self.metric(name, value, now, step) for name, value in values.items()]
        )

    def end(self, done: bool) -> None:
        self.client.set_terminated(self.run, "FINISHED" if done else "KILLED")


@contextlib.contextmanager
def tracked(kind: Kind, folder: Path, card: Mapping[str, Any]) -> Iterator[None]:
    """Forward the metrics of the run in `folder` while it goes on; a resumed run goes on in the
    same tracked one.

    UsageError, before anything is trained: the package is missing, or it cannot begin (no key, no
    server).
    """
    if not kind:
        yield
        return
    kept = folder / "tracked.json"
    state = (
        json.loads(kept.read_text(encoding="utf-8"))
        if kept.is_file()
        else {"id": uuid.uuid4().hex[:12], "step": 0, "splits": []}
    )
    state.setdefault("names", [])
    config = {
        **flat(card["config"]),
        **{name: value for name, value in card["run"].items() if name != "out"},
    }
    try:
        begin: Callable[..., Tracker] = _Wandb if kind == "wandb" else _Mlflow
        tracker = begin(f"{card['experiment']}-{state['id']}", config, state["id"], folder)
    except UsageError:
        raise
    except Exception as error:  # whatever a package says of its keys and servers
        way = (
            "wandb login, or WANDB_MODE=offline"
            if kind == "wandb"
            else "look at MLFLOW_TRACKING_URI"
        )
        raise UsageError(
            f"--track {kind} cannot begin: {str(error).splitlines()[0]}; {way}"
        ) from error
    _keep(kept, state)
    follower = _Follower(tracker, folder, kept, state)
    thread = threading.Thread(target=follower.follow, daemon=True, name="tracking")
    thread.start()
    try:
        yield
    finally:
        follower.over.set()
        thread.join(PATIENCE_SECONDS)
        if thread.is_alive():  # its server hangs
            print(
                f"dlcore: warning: --track {kind} does not answer; {folder / 'metrics.jsonl'} has"
                " all of it",
                file=sys.stderr,
                flush=True,
            )
        else:
            follower.finish(card.get("status") == "done")


class _Follower:
    """Reads metrics.jsonl as it grows. After a resume it may shrink and grow again: what was told
    is not told twice.
    """

    def __init__(self, tracker: Tracker, folder: Path, kept: Path, state: dict[str, Any]) -> None:
        self.tracker, self.file, self.kept, self.state = (
            tracker,
            folder / "metrics.jsonl",
            kept,
            state,
        )
        self.over, self.place, self.inode, self.lost = threading.Event(), 0, 0, False

    def follow(self) -> None:
        """Forward until the run is over."""
        while not self.over.wait(EVERY_SECONDS):
            self.forward()

    def forward(self) -> None:
        """What is new. A tracker that fails is told of once; the run goes on, and metrics.jsonl has
        everything.
        """
        if self.lost or not self.file.exists():
            return
        try:
            for line in self._fresh():
                step, split = line.pop("step"), line.pop("split")
                values = {
                    f"{split}/{name}": value for name, value in line.items() if value is not None
                }
                if step < self.state["step"] or (
                    step == self.state["step"] and split in self.state["splits"]
                ):
                    # Trained again after a resume; or measured once at the end, of the best state,
                    # whose step is past.
                    values = {
                        name: value
                        for name, value in values.items()
                        if name not in self.state["names"]
                    }
                    step = self.state["step"]
                if not values:
                    continue
                self.tracker.log(step, values)
                splits = self.state["splits"] if step == self.state["step"] else []
                names = sorted({*self.state["names"], *values})
                self.state |= {"step": step, "splits": [*splits, split], "names": names}
        except Exception as error:  # its network, its server: no reason to end a run
            self._lose(error)
        with contextlib.suppress(OSError):  # on a full disk the run itself says so
            _keep(self.kept, self.state)

    def _fresh(self) -> Iterator[dict[str, Any]]:
        """Whole lines that were not read yet."""
        with self.file.open(encoding="utf-8") as file:
            inode = os.fstat(file.fileno()).st_ino
            if inode != self.inode:
                self.place, self.inode = 0, inode
            file.seek(self.place)
            while (line := file.readline()).endswith("\n"):
                self.place = file.tell()
                yield json.loads(line)

    def finish(self, done: bool) -> None:
        """Forward the rest, and say how it ended."""
        self.forward()
        try:
            self.tracker.end(done)
        except Exception as error:
            self._lose(error)

    def _lose(self, error: Exception) -> None:
        self.lost = True
        warning = (
            f"tracking ended after step {self.state['step']} ({error}); the run goes on, and"
            f" {self.file} has all of it"
        )
        print(f"dlcore: warning: {warning}", file=sys.stderr, flush=True)


def _keep(file: Path, state: Mapping[str, Any]) -> None:
    """What was told, whole or not at all."""
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(state) + "\n", encoding="utf-8")
    fresh.replace(file)


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(
            f"--track {name.partition('.')[0]} needs its package: pip install 'dlcore[track]'"
        ) from error
