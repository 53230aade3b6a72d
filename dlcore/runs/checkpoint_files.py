"""The files of checkpoints: their metrics, the disk space that they need, and failed writes."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import jax

from dlcore import errors
from dlcore.errors import Disrupted, UsageError
from dlcore.train.step import State


def read_metrics(checkpoint: Path) -> dict[str, float]:
    """Reads the metrics that a checkpoint was saved with; {} where it was saved without.

    Damaged metrics are moved to damaged-STEP-metrics beside the checkpoint with a warning, and {}
    is returned.

    Args:
        checkpoint: the folder of one checkpoint, RUN/checkpoints/STEP.

    Raises:
        UsageError: the file is damaged and cannot be moved.
    """
    try:
        found = json.loads((checkpoint / "metrics" / "metrics").read_bytes())
        if isinstance(found, dict) and all(
            isinstance(value, int | float) for value in found.values()
        ):
            return found
    except FileNotFoundError:
        if not (checkpoint / "metrics").is_dir():  # saved without
            return {}
    except (OSError, ValueError):
        pass
    moved = free_name(checkpoint.with_name(f"damaged-{checkpoint.name}-metrics"))
    try:
        with contextlib.suppress(FileNotFoundError):  # another process has moved it already
            (checkpoint / "metrics").rename(moved)
    except OSError as error:
        raise UsageError(
            f"{checkpoint / 'metrics'} is damaged, and cannot be moved away: {error.strerror};"
            " grant write permission, or remove it"
        ) from error
    warnings.warn(
        f"the metrics of checkpoint {checkpoint} cannot be read and were moved to {moved.name}:"
        " it counts as not evaluated",
        stacklevel=4,
    )
    return {}


def check_space(folder: Path, abstract: State, keep: int, runs: int = 1) -> None:
    """Raises UsageError unless the disk has space for the checkpoints that a run will add.

    These are `keep` + 2 checkpoints (the last ones, the best one, and one that is being written)
    less those that exist, but at least one.

    Args:
        folder: the folder of the run.
        abstract: shapes and dtypes of its state.
        keep: the number of last checkpoints that are kept.
        runs: the number of such runs that share the disk.
    """
    size = runs * sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(abstract))
    there = sum(path.name.isdecimal() for path in (folder / "checkpoints").glob("*"))
    free, need = shutil.disk_usage(folder).free, max(1, keep + 2 - there) * size
    if free < need:
        raise UsageError(
            f"{folder} has {free / 2**20:.0f} MiB free, and the checkpoints of this run need"
            f" {need / 2**20:.0f} MiB: free disk space, or choose another --out"
        )


def free_name(path: Path) -> Path:
    """Returns the path if nothing is there, else the first free one of PATH-1, PATH-2, ..."""
    names = (path.with_name(f"{path.name}-{i}") if i else path for i in itertools.count())
    return next(name for name in names if not name.exists())


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Replaces the error of a failed write in the block by one that names the newest checkpoint.

    An error that is neither an OSError nor one of a full disk is raised unchanged.

    Args:
        folder: the folder of the checkpoints, RUN/checkpoints.

    Raises:
        UsageError: something could not be written.
        Disrupted: the write timed out.
    """
    try:
        yield
    except Exception as error:
        text = str(error)
        if not isinstance(error, OSError) and not re.search(
            "os_error_code|No space left|RESOURCE_EXHAUSTED", text
        ):  # TensorStore's
            raise
        last = max((int(p.name) for p in folder.glob("[0-9]*") if p.name.isdecimal()), default=None)
        kept = (
            "no checkpoint is complete yet"
            if last is None
            else f"the checkpoint of step {last} is complete"
        )
        reason = errors.reason(error, 300)
        if isinstance(error, TimeoutError):  # Orbax waits by the wall clock
            raise Disrupted(
                f"a checkpoint into {folder} took too long ({reason}): the disk"
                f" or another process hangs, or the clock jumped; {kept}: dlcore resume"
                f" {folder.parent}"
            ) from error
        raise UsageError(
            f"cannot write a checkpoint into {folder}: {reason}; {kept}: free"
            " disk space (also see ulimit -f; or grant write permission), then dlcore resume"
            f" {folder.parent}"
        ) from error
