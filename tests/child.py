"""Runs `dlcore` in child processes, which are forked from one that has imported all packages."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import functools
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import jax
import pytest

from dlcore.options import flag_names
from dlcore.runs import catalog
from dlcore.train.experiment import Experiment
from tests.conftest import CACHE, HAS_OLDER_GENERATOR, OLDER_GENERATOR, UNOPTIMISED

REPOSITORY = Path(__file__).resolve().parent.parent
# their losses compare examples, and refuse microbatches
WHOLE_BATCH = ("chat_preference", "simclr_cifar10")
LIMIT = 120.0  # seconds; nothing here comes near it

# The server reads these once; a child adds to them.
CLEAN = {
    "JAX_PLATFORMS": "cpu",
    "JAX_COMPILATION_CACHE_DIR": str(CACHE),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    # programs from the cache: XLA prints pages about features of the processor that it did not use
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "COLUMNS": "130",
}
IMPORTED = [
    "dlcore.cli.main",
    "dlcore.runs.session",
    "dlcore.data.sets.embedded",
    "sklearn.datasets",
    "grain",
    "tyro",
    "optax",
    "tensorboardX",
]


def environment(**more: str) -> dict[str, str]:
    """Returns this process's environment variables without those that the tests have set."""
    own = ("JAX_", "XLA_", "DLCORE_PROCESS", "DLCORE_COORDINATOR", "PYTEST")
    outside = {k: v for k, v in os.environ.items() if not k.startswith(own)}
    return outside | CLEAN | _level() | more


def _level() -> dict[str, str]:
    """Processes compile as this one does."""
    unoptimised = jax.config.values[UNOPTIMISED]
    flag = "--{}={}".format(*OLDER_GENERATOR).lower()
    return {
        UNOPTIMISED.upper(): str(int(unoptimised)),
        "XLA_FLAGS": flag if unoptimised and HAS_OLDER_GENERATOR else "",
    }


def flags_of(config: Any) -> list[str]:
    """Returns a config as command-line flags, with --offline."""
    words = ["--offline"]
    for path, flag in flag_names(config).items():
        value, name = functools.reduce(getattr, path.split("."), config), flag.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
        elif isinstance(value, tuple):
            words += [f"--{name}", *map(str, value)]
        else:
            words += [f"--{name}", str(value)]
    return words


def tiny(experiment: str) -> Any:
    """Returns the preset "tiny" of an experiment."""
    return catalog.load(catalog.find(experiment)).presets["tiny"]


def built(name: str, **changes: Any) -> Experiment:
    """Builds an experiment with its preset "tiny", offline.

    Args:
        name: of the experiment.
        changes: fields of its config, or of the config's recipe, by name.
    """
    config = tiny(name)
    of_recipe = {field: changes.pop(field) for field in [*changes] if not hasattr(config, field)}
    if of_recipe:
        changes["recipe"] = dataclasses.replace(config.recipe, **of_recipe)
    return catalog.load(catalog.find(name)).experiment(
        dataclasses.replace(config, **changes), "offline"
    )


# one of each kind of state and objective
DISTINCT = (
    "chat_preference",  # two models, one of them frozen
    "faces_orl",  # examples are compared, networks of several folds
    "gan_mnist",  # several objectives in order, averaged parameters
    "mlp_diabetes",  # networks of several folds
    "mlp_digits",
    "resnet_cifar10",  # statistics of batches
    "rnn_adding",
    "vae_mnist",  # random numbers in the loss
)


def experiments(*every_run: str) -> list[Any]:
    """Returns all experiments as parameters of a test: `every_run` by default, others nightly."""
    unknown = set(every_run) - set(catalog.names())
    assert not unknown, f"no such experiments: {sorted(unknown)}"
    return [
        pytest.param(name, marks=() if name in every_run else pytest.mark.nightly)
        for name in catalog.names()
    ]


@functools.cache  # made by the tests alone: children import this module too
def _outputs() -> Path:
    """The folder of the children's outputs, which is removed with this process."""
    folder = tempfile.mkdtemp(prefix="dlcore-children-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


class Child:
    """A running `dlcore WORDS`, whose output goes to a file: it never waits for a reader.

    Args:
        words: the command line after `dlcore`.
        folder: the working directory.
        more: further environment variables.
    """

    def __init__(self, *words: str | Path, folder: Path, **more: str) -> None:
        self.output_file = _outputs() / f"{uuid.uuid4().hex}.txt"
        context = multiprocessing.get_context("forkserver")
        with _outside_environment():
            context.set_forkserver_preload(IMPORTED)
            forkserver.ensure_running()
        self.process = context.Process(
            target=_become,
            args=(
                [str(word) for word in words],
                str(folder),
                str(self.output_file),
                _level() | more,
            ),
        )
        self.process.start()

    def wait(self, limit: float = LIMIT) -> int:
        """Waits for the end; returns the exit code, -9 for SIGKILL. Fails the test after `limit`.

        The limit is in seconds.
        """
        self.process.join(limit)
        if self.process.exitcode is None:
            self.process.kill()
            pytest.fail(f"still running after {limit} s: {self.output()}")
        return self.process.exitcode

    def output(self) -> str:
        """Returns the output so far, of standard output and standard error."""
        return (
            self.output_file.read_text(encoding="utf-8", errors="replace")
            if self.output_file.exists()
            else ""
        )

    def send(self, number: int) -> None:
        """Sends a signal."""
        assert self.process.pid
        os.kill(self.process.pid, number)

    def until(self, met: Callable[[], bool], every: float = 0.01) -> None:
        """Waits until `met()` holds, polling `every` seconds; the test fails if the child ends."""
        end = time.monotonic() + LIMIT
        while not met():
            if self.process.exitcode is not None or time.monotonic() > end:
                pytest.fail(
                    f"ended with {self.process.exitcode} before what was waited for:"
                    f" {self.output()}"
                )
            time.sleep(every)

    def stop_at(self, met: Callable[[], bool]) -> None:
        """Stops the process by SIGSTOP while `met()` holds; the caller kills or continues it."""
        while True:
            self.until(met, every=0.001)
            self.send(signal.SIGSTOP)
            # The process may have continued before the signal arrived.
            if met():
                return
            self.send(signal.SIGCONT)


def run(*words: str | Path, folder: Path, **more: str) -> tuple[int, str]:
    """Runs `dlcore WORDS` to its end; returns the exit code and the output."""
    child = Child(*words, folder=folder, **more)
    return child.wait(), child.output()


def card(run: Path) -> dict[str, Any]:
    """Reads a run's card.json."""
    return json.loads((run / "card.json").read_text(encoding="utf-8"))


def without_times(results: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """The results of a run without metrics that are times, in which equal runs differ."""
    return {
        split: {name: value for name, value in metrics.items() if not name.startswith("seconds_")}
        for split, metrics in results.items()
    }


def logged(run: Path, split: str | None = None) -> list[dict[str, Any]]:
    """Reads the complete lines of metrics.jsonl, without the speed, which differs between runs.

    Args:
        run: the folder.
        split: None: all splits.
    """
    path = run / "metrics.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    records = [json.loads(line) for line in lines]
    return [
        {k: v for k, v in record.items() if not k.startswith(("examples_per_", "seconds_"))}
        for record in records
        if split in (None, record["split"])
    ]


def _become(words: list[str], folder: str, said: str, more: dict[str, str]) -> None:
    os.chdir(folder)
    os.environ.update(more)
    jax.config.update(UNOPTIMISED, more[UNOPTIMISED.upper()] == "1")  # it was read by the server
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    from dlcore.cli.main import main

    sys.exit(main(words))


@contextlib.contextmanager
def _outside_environment() -> Iterator[None]:
    """This process's environment as a user has it, for as long as the server takes to start."""
    before = dict(os.environ)
    fresh = environment()
    os.environ.clear()
    os.environ.update(fresh)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
