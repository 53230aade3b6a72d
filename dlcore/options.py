"""The options that all runs share, beside the fields of their experiment's Config."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from dlcore import bounds
from dlcore.bounds import Dataclass, NonNegativeInt, PositiveInt, Range
from dlcore.errors import UsageError

# the published data set, data of the installation, or a folder or file of the user
DataSource = Literal["published", "offline"] | Path
CPU_DEVICES = 64  # the largest number of simulated devices


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """How to run an experiment.

    One field for each option of the command line; the string below a field is its help text.
    """

    offline: bool = False
    """train on data that come with the installation, instead of the published data set"""
    data: str = ""
    """train on your own data: a folder or a file, which `dlcore data PATH` describes"""
    out: str = ""
    """the folder of the run (default: the next free runs/EXPERIMENT/NUMBER)"""
    continue_run: bool = False
    """resume the run in --out if there is one, so that one command starts and restarts a run"""
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0
    """random seed of the initialisation, the order of the examples, and all random draws"""
    seeds: PositiveInt = 1
    """number of runs with consecutive seeds, vectorised in one program; each has its own folder,
    and the same results as alone on one device"""
    parallel: Literal["auto", "jit", "shard_map", "pmap"] = "auto"
    """how the step is parallelised over devices; auto: shard_map on several CPU devices with a
    replicated state (faster, and bit-equal for any number of processes), otherwise jit"""
    cpu_devices: Annotated[int, Range(0, CPU_DEVICES)] = 0
    """number of simulated devices on CPU (0: one for each core, if they divide the batch, which is
    up to twice as fast as one device)"""
    mesh: str = ""
    """sizes of the mesh axes, such as data=4,fsdp=2,tensor=1 (default: all devices on data)"""
    microbatches: PositiveInt = 1
    """number of parts of a batch whose gradients are accumulated one by one, to save memory"""
    precision: Literal["f32", "bf16"] = "f32"
    """compute type; parameters and optimizer state stay float32"""
    deterministic: bool = False
    """on GPU: use only deterministic operations (slower)"""
    log_every: PositiveInt = 50
    """steps between logged metrics"""
    eval_every: NonNegativeInt = 0
    """steps between evaluations (0: ten evaluations a run)"""
    patience: NonNegativeInt = 0
    """number of evaluations without improvement of the experiment's best metric that ends the run
    (0: never)"""
    diagnose: Literal["auto", "always", "never"] = "auto"
    """report gradient, update and dead units of every tensor at each evaluation, for one batch;
    this compiles a second program (auto: in runs of at least 1,000 steps)"""
    save_every: NonNegativeInt = 0
    """steps between checkpoints (0: ten checkpoints a run, or two with --seeds)"""
    keep: PositiveInt = 2
    """number of last checkpoints to keep, beside the best one"""
    threads: Annotated[int, Range(1, 1024)] = 1
    """number of host threads that prepare batches ahead of the step"""
    workers: Annotated[int, Range(0, 256)] = 0
    """number of processes that read, decode and augment examples, for experiments that read files
    when needed (`Mapped` sources; those of dlcore keep their examples in memory and refuse it); 0:
    none; the batches are the same for any number"""
    track: Literal["", "wandb", "mlflow"] = ""
    """send the metrics to Weights & Biases or MLflow as well, which are configured by their own
    environment variables (WANDB_MODE, MLFLOW_TRACKING_URI)"""
    heartbeat: Annotated[int, Range(1, 86400)] = 20
    """seconds without a heartbeat after which another process counts as dead"""
    stall: NonNegativeInt = 600
    """timeout of the watchdog: seconds of a step, an evaluation or a save after which the stacks of
    all threads are written to a file (0: never)"""

    @property
    def source(self) -> DataSource:
        """The source of the data: the path of `data`, "offline" or "published"."""
        return Path(self.data) if self.data else "offline" if self.offline else "published"


def check(config: Dataclass, flags: RunOptions) -> None:
    """Checks a config and the run options before anything is opened or written.

    Args:
        config: an experiment's `Config`, with `batch` and `steps`.
        flags: the run options.

    Raises:
        UsageError: a number is outside its range, the path of `data` does not exist, the path of
            `data` or `out` starts with "~", or two options exclude each other.
    """
    for name in ("batch", "steps"):
        bounds.check_number(name, getattr(config, name), Range(1))
    bounds.check(config)
    bounds.check(flags)
    for name in ("out", "data"):
        if (path := getattr(flags, name)).startswith("~"):
            raise UsageError(
                f"--{name} {path} starts with ~, which the shell has not expanded: write $HOME, or"
                " the full path"
            )
    if flags.data and flags.offline:
        raise UsageError("--data and --offline exclude each other: omit one of them")
    if flags.data and not Path(flags.data).exists():
        raise UsageError(f"--data {flags.data}: there is no such file or folder")
    if flags.seeds > 1:
        unfit = {
            "parallel": flags.parallel not in ("auto", "jit"),
            "mesh": flags.mesh != "",
            "cpu-devices": flags.cpu_devices > 1,
            "patience": flags.patience > 0,
            "track": flags.track != "",
        }
        for name in (name for name, given in unfit.items() if given):
            raise UsageError(
                f"--{name} cannot be used with --seeds {flags.seeds}, where each run has one device"
                " and all take the same steps: omit it, or train the seeds one after the other"
            )
        if flags.seed + flags.seeds > 2**32:
            raise UsageError(
                f"--seed {flags.seed} and --seeds {flags.seeds} exceed 2^32: choose a"
                " smaller --seed"
            )


def flag_names(config: Dataclass) -> dict[str, str]:
    """Returns the command line's name of every field of a dataclass, by its path.

    A field of a nested dataclass has its own name, or its whole path where another field has the
    same name.

    Args:
        config: the dataclass.

    Returns:
        {path: name}, such as {"batch": "batch", "recipe.lr": "lr"}; names have the underscores of
        the fields, which `flag` replaces by hyphens.
    """
    paths = _paths(config)
    return {path: short_name(path, paths) for path in paths}


def _paths(config: Dataclass) -> list[str]:
    found: list[str] = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        is_nested = dataclasses.is_dataclass(value) and not isinstance(value, type)
        nested = _paths(value) if is_nested else []
        found += [f"{field.name}.{path}" for path in nested] or [field.name]
    return found


def short_name(path: str, paths: Iterable[str]) -> str:
    """Returns the last part of a field's path, or the whole path if another path has the same one.

    Args:
        path: such as "recipe.lr", one of `paths`.
        paths: of all fields.
    """
    last = path.rpartition(".")[2]
    return last if sum(each.rpartition(".")[2] == last for each in paths) == 1 else path


def flag(name: str, value: object) -> str:
    """Formats a field for the command line, not quoted: "--widths 64 32", "--no-bias"."""
    word = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{word}" if value else f"--no-{word}"
    values = value if isinstance(value, list | tuple) else [value]
    return f"--{word} " + " ".join(map(str, values))


def different_flags(config: Dataclass, default: Dataclass) -> str:
    """Returns the flags that turn the dataclass `default` into `config`, separated by spaces."""
    values = [_values(each) for each in (config, default)]
    return " ".join(
        flag(name, values[0][path])
        for path, name in flag_names(config).items()
        if values[0][path] != values[1].get(path)
    )


def _values(config: Dataclass) -> dict[str, object]:
    """{"recipe.lr": 0.001} of a dataclass and those inside it."""
    return {path: functools.reduce(getattr, path.split("."), config) for path in flag_names(config)}
