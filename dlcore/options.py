"""The flags that every run has, beside the fields of its experiment's Config."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

from dlcore import bounds
from dlcore.bounds import NonNegativeInt, PositiveInt, Range
from dlcore.errors import UsageError

CPU_DEVICES = 64  # as many as are simulated at most


@dataclasses.dataclass(frozen=True)
class Flags:
    """How to run, whatever the experiment."""

    out: str = ""
    """folder of the run; by default the next free runs/EXPERIMENT/NUMBER"""
    continue_run: bool = False
    """go on with the run in --out if one was begun there: the same command begins a run and restarts it"""
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0
    """decides initialisation, order of the examples, and every random draw"""
    seeds: PositiveInt = 1
    """so many runs, from --seed on, side by side in one program: a folder each, as if each had been run alone on one device"""
    parallel: Literal["auto", "jit", "shard_map", "pmap"] = "auto"
    """how the step runs over the devices; auto is shard_map on several CPU devices that all hold the whole state, where it is faster
    and one process and several train the same bits, and jit otherwise"""
    cpu_devices: Annotated[int, Range(0, CPU_DEVICES)] = 0
    """on CPU: devices to simulate; 0 for one a core, as far as the batch divides (up to twice as fast as one for all cores)"""
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
    """evaluations without a better value of what the experiment calls best that end the run; 0 for never"""
    diagnose: bool = True
    """at each evaluation (of a run of 100 steps or more): gradient, update and dead units of every tensor, for one batch"""
    save_every: NonNegativeInt = 0
    """steps between checkpoints; 0 for ten a run, or two with --seeds"""
    keep: PositiveInt = 2
    """how many of the last checkpoints are kept, beside the best"""
    threads: Annotated[int, Range(1, 1024)] = 1
    """threads that prepare batches"""
    track: Literal["", "wandb", "mlflow"] = ""
    """forward the metrics to Weights & Biases or MLflow, which their own variables configure (WANDB_MODE, MLFLOW_TRACKING_URI)"""
    heartbeat: Annotated[int, Range(1, 86400)] = 20
    """with several processes: seconds without a sign of life after which one is taken for dead"""
    stall: NonNegativeInt = 600
    """seconds that a step, an evaluation or a save may take before the stacks of all threads are written down; 0 for never"""


def check(config: Any, flags: Flags) -> None:
    """Raises UsageError for a number that nothing could be done with, and for an `--out` that the shell has not expanded."""
    for name in ("batch", "steps"):
        bounds.check_number(name, getattr(config, name), Range(1))
    bounds.check(config)
    bounds.check(flags)
    if flags.out.startswith("~"):
        raise UsageError(f"--out {flags.out} begins with ~, which the shell has not expanded: write $HOME, or the path in full")
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
                f"--{name} does not go with --seeds {flags.seeds}, where each run has one device and all take the same steps: "
                "leave it out, or train the seeds one after the other"
            )
        if flags.seed + flags.seeds > 2**32:
            raise UsageError(f"--seed {flags.seed} and --seeds {flags.seeds} reach beyond 2^32: begin with a smaller --seed")


def flag_names(config: Any) -> list[str]:
    """The fields of a dataclass, and of those inside it, as they stand on the command line."""
    found = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        found += flag_names(value) if dataclasses.is_dataclass(value) else [field.name]
    return found
