"""The packages that track metrics: Weights & Biases, and MLflow."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Protocol

from dlcore.errors import UsageError

PROJECT = "dlcore"


class Tracker(Protocol):
    """Sends the metrics of a run to a tracking service: `log` any number of times, then `end`."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Sends metrics.

        Args:
            step: of the metrics; never decreases.
            values: {"split/metric": value}, all finite.
        """

    def end(self, done: bool) -> None:
        """Ends the tracked run; if `done` is False, the run was stopped and may be resumed."""


class Wandb:
    """Logs to a run of Weights & Biases; sends no environment, code, git remote or machine.

    The project is that of WANDB_PROJECT, by default "dlcore".

    Args:
        name: of the run.
        config: {name: value} of the config and the run options.
        ident: identity of the run; a run that has it is continued.
        folder: of the run, where wandb writes its files.

    Raises:
        UsageError: the package is not installed.
    """

    def __init__(self, name: str, config: Mapping[str, object], ident: str, folder: Path) -> None:
        wandb = imported("wandb")
        quiet = {
            "silent": True,
            "console": "off",
            "disable_git": True,
            "disable_code": True,
            "x_disable_meta": True,
            "x_disable_stats": True,
            "x_save_requirements": False,
            "host": "",
        }
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            dir=str(folder),
            id=ident,
            resume="allow",
            name=name,
            config=dict(config),
            settings=wandb.Settings(**quiet),
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log(dict(values), step=step)

    def end(self, done: bool) -> None:
        self.run.finish(exit_code=0 if done else 75)


class Mlflow:
    """Logs to a run of MLflow at MLFLOW_TRACKING_URI, or in mlflow.db beside the run's folder.

    Args:
        name: of a run that is created.
        config: {name: value}, the parameters of a run that is created; as text, of which the first
            500 characters are kept.
        ident: identity of the run, its tag "dlcore"; a run that has it is continued.
        folder: of the run; nothing is written into it.

    Raises:
        UsageError: the package is not installed.
    """

    def __init__(self, name: str, config: Mapping[str, object], ident: str, folder: Path) -> None:
        mlflow, entities = imported("mlflow"), imported("mlflow.entities")
        database = f"sqlite:///{folder.resolve().parent / 'mlflow.db'}"
        self.client = mlflow.MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or database)
        self.metric = entities.Metric
        found = self.client.get_experiment_by_name(PROJECT)
        home = found.experiment_id if found else self.client.create_experiment(PROJECT)
        known = self.client.search_runs([home], f"tags.dlcore = '{ident}'")
        if known:
            self.run = known[0].info.run_id
            self.client.update_run(self.run, status="RUNNING")
            return
        self.run = self.client.create_run(home, run_name=name, tags={"dlcore": ident}).info.run_id
        params = [entities.Param(key, str(value)[:500]) for key, value in config.items()]
        self.client.log_batch(self.run, params=params)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        now = int(1000 * time.time())
        metrics = [self.metric(name, value, now, step) for name, value in values.items()]
        self.client.log_batch(self.run, metrics)

    def end(self, done: bool) -> None:
        self.client.set_terminated(self.run, "FINISHED" if done else "KILLED")


def imported(name: str) -> ModuleType:
    """Imports a tracker's package. Raises UsageError where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(
            f"--track {name.partition('.')[0]} needs its package: pip install 'dlcore[track]'"
        ) from error
