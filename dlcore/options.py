"""The flags that every run has, beside the fields of its experiment's Config."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from dlcore import bounds
from dlcore.bounds import NonNegativeInt, PositiveInt, Range
from dlcore.errors import UsageError

# the published set, data of the installation, one's own folder or file
DataSource = Literal["published", "offline"] | Path
CPU_DEVICES = 64  # as many as are simulated at most


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """How to run, whatever the experiment."""

    offline: bool = False
    """train on data that come with the installation, in place of the published set"""
    data: str = ""
    """train on one's own data: a folder or file, as the experiment's description says"""
    out: str = ""
    """folder of the run; by default the next free runs/EXPERIMENT/NUMBER"""
    continue_run: bool = False
    """go on with the run in --out if one was begun there: the same command begins a run and
    restarts it"""
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0
    """decides initialisation, order of the examples, and every random draw"""
    seeds: PositiveInt = 1
    """so many runs, from --seed on, side by side in one program: a folder each, as if each had been
    run alone on one device"""
    parallel: Literal["auto", "jit", "shard_map", "pmap"] = "auto"
    """how the step runs over the devices; auto is shard_map on several CPU devices that all hold
    the whole state, where it is faster and one process and several train the same bits, and jit
    otherwise"""
    cpu_devices: Annotated[int, Range(0, CPU_DEVICES)] = 0
    """on CPU: devices to simulate; 0 for one a core, as far as the batch divides (up to twice as
    fast as one for all cores)"""
    mesh: str = ""
    """sizes of the device axes, as data=4,fsdp=2,tensor=1; by default all devices on data"""
    microbatches: PositiveInt = 1
    """parts of a batch whose gradients are summed one after the other, to save memory"""
    precision: Literal["f32", "bf16"] = "f32"
    """compute type; parameters and optimizer state stay float32"""
    deterministic: bool = False
    """on GPU: only operations that give the same bits every time (slower)"""
    log_every: PositiveInt = 50
    """steps between logged metrics"""
    eval_every: NonNegativeInt = 0
    """steps between evaluations; 0 for ten a run"""
    patience: NonNegativeInt = 0
    """evaluations without a better value of what the experiment calls best that end the run; 0 for
    never"""
    diagnose: Literal["auto", "always", "never"] = "auto"
    """at each evaluation: gradient, update and dead units of every tensor, for one batch; auto is
    always for runs of 1,000 steps or more: it compiles a second program"""
    save_every: NonNegativeInt = 0
    """steps between checkpoints; 0 for ten a run, or two with --seeds"""
    keep: PositiveInt = 2
    """how many of the last checkpoints are kept, beside the best"""
    threads: Annotated[int, Range(1, 1024)] = 1
    """threads that prepare batches"""
    track: Literal["", "wandb", "mlflow"] = ""
    """forward the metrics to Weights & Biases or MLflow, which their own variables configure
    (WANDB_MODE, MLFLOW_TRACKING_URI)"""
    heartbeat: Annotated[int, Range(1, 86400)] = 20
    """with several processes: seconds without a sign of life after which one is taken for dead"""
    stall: NonNegativeInt = 600
    """seconds that a step, an evaluation or a save may take before the stacks of all threads are
    written down; 0 for never"""

    @property
    def source(self) -> DataSource:
        """Where the data come from."""
        return Path(self.data) if self.data else "offline" if self.offline else "published"


def check(config: Any, flags: RunOptions) -> None:
    """Raises UsageError for a number that nothing could be done with, and for an `--out` that the
    shell has not expanded.
    """
    for name in ("batch", "steps"):
        bounds.check_number(name, getattr(config, name), Range(1))
    bounds.check(config)
    bounds.check(flags)
    for name in ("out", "data"):
        if (path := getattr(flags, name)).startswith("~"):
            raise UsageError(
                f"--{name} {path} begins with ~, which the shell has not expanded: write $HOME, or"
                " the path in full"
            )
    if flags.data and flags.offline:
        raise UsageError("--data and --offline are two sources of data: leave one of them out")
    if flags.data and not Path(flags.data).exists():
        raise UsageError(f"--data {flags.data}: nothing is there")
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
                f"--{name} does not go with --seeds {flags.seeds}, where each run has one device"
                " and all take the same steps: leave it out, or train the seeds one after the"
                " other"
            )
        if flags.seed + flags.seeds > 2**32:
            raise UsageError(
                f"--seed {flags.seed} and --seeds {flags.seeds} reach beyond 2^32: begin with a"
                " smaller --seed"
            )


def flag_names(config: Any) -> dict[str, str]:
    """{"recipe.lr": "lr"}: the fields of a dataclass and of those inside it, by path, and their
    names on the command line.

    A field of a nested dataclass has its own name, and its whole path where two fields have the
    same name.
    """
    paths = _paths(config)
    return {path: short_name(path, paths) for path in paths}


def _paths(config: Any) -> list[str]:
    found = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        nested = _paths(value) if dataclasses.is_dataclass(value) else []
        found += [f"{field.name}.{path}" for path in nested] or [field.name]
    return found


def short_name(path: str, paths: Iterable[str]) -> str:
    """The last part of a field's path, or the whole path where another of `paths` ends the same."""
    last = path.rpartition(".")[2]
    return last if sum(each.rpartition(".")[2] == last for each in paths) == 1 else path
