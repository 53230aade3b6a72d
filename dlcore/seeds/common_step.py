"""Finds the step from which several vectorised runs can continue together."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import jax

from dlcore import sharding
from dlcore.data.stream import Stream
from dlcore.errors import UsageError
from dlcore.options import RunOptions
from dlcore.runs.checkpoint import Checkpoints, Unreadable
from dlcore.train.experiment import Experiment, best_of
from dlcore.train.init import initial


def common_valid_step(experiment: Experiment, flags: Sequence[RunOptions], root: Path) -> int:
    """Returns the newest step of which all runs have a readable checkpoint; 0 if a run has none.

    Checkpoints of common steps are restored to check them, the newest first. Warns where a newer
    one cannot be read, and where all runs start again because one of them has no checkpoint.

    Args:
        experiment: the experiment.
        flags: the run options of each run; `out` is its folder.
        root: the folder of the runs, for messages.

    Raises:
        UsageError: all runs have checkpoints, but of no common step.
        Unreadable: no common step is readable in all runs.
    """
    kept = [
        {int(p.name) for p in (Path(each.out) / "checkpoints").glob("*") if p.name.isdecimal()}
        for each in flags
    ]
    if not all(kept):
        if any(kept):
            warnings.warn(
                "a seed ended before its first checkpoint: all seeds start again at step 0",
                stacklevel=2,
            )
        return 0
    if not (common := sorted(set.intersection(*kept))):
        raise UsageError(
            f"the seeds in {root} have no checkpoint of the same step: dlcore resume continues"
            " each of them alone"
        )
    one, batch = sharding.layout("jit", "", jax.devices()[:1]), experiment.batch
    example = Stream(experiment.train, batch, flags[0].seed, one.local_rows(batch)).at(0)
    abstract, _ = initial(experiment, flags[0].seed, one, one.put(example, batch))
    while True:
        step = common.pop()
        try:
            for each in flags:
                with closing(
                    Checkpoints(Path(each.out) / "checkpoints", each.keep, best_of(experiment))
                ) as checkpoints:
                    checkpoints.restore(abstract, step)
            return step
        except Unreadable as error:
            if not common:
                raise
            warnings.warn(f"{error}; all seeds continue from an older step", stacklevel=2)
