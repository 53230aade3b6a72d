"""What a run was computed on: packages, commit, host, devices, and the memory that it took."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import sys
from pathlib import Path

import jax

from dlcore.runs.card_fields import Git, Machine
from dlcore.runs.changes import git_output
from dlcore.runtime import cores, processor

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

PACKAGES = (
    "dlcore",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "grain",
    "numpy",
    "tensorflow-datasets",
)


def versions() -> dict[str, str]:
    """Returns {name: version} of Python and of `PACKAGES`, or "not installed" for a package."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def git(folder: Path) -> Git:
    """Describes the repository that contains `folder`.

    Returns:
        `commit`, and `clean`: no tracked file differs from the commit, and there are no untracked
        Python files, except ignored ones and those in run folders. Both are None where there is no
        repository, or no git.
    """

    ask = functools.partial(git_output, folder)
    # Tracked files and other Python files count as changes; exports, sweeps and runs do not.
    changed, top = (
        ask("status", "--porcelain", "--untracked-files=no"),
        ask("rev-parse", "--show-toplevel"),
    )
    fresh = ask(
        "-c",
        "core.quotePath=off",
        "ls-files",
        "--others",
        "--exclude-standard",
        "--full-name",
        "--",
        ":/*.py",
    )
    clean = (
        None
        if changed is None or fresh is None or top is None
        else not changed and not _sources(Path(top), fresh)
    )
    return {"commit": ask("rev-parse", "HEAD"), "clean": clean}


def _sources(top: Path, names: str) -> list[Path]:
    """Those of these Python files that are not part of a run, which keeps its experiment file."""
    files = [top / name for name in names.splitlines()]
    return [
        file for file in files if not any((above / "card.json").is_file() for above in file.parents)
    ]


def machine() -> Machine:
    """Describes this process's host, the devices of JAX over all processes, and XLA's flags."""
    device = jax.devices()[0]
    return {
        "host": {
            "cpu": _cpu(),
            "model": processor.model(processor.cpuinfo()),
            "cores": cores.available(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "devices": {
            "platform": device.platform,
            "kind": device.device_kind,
            "count": jax.device_count(),
            "processes": jax.process_count(),
        },
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def _cpu() -> str:
    return processor.cpuinfo().get("model name", platform.processor())


def peak_memory() -> int | None:
    """Returns the largest peak of bytes in use on a local device.

    Where the devices do not report it, as on the CPU, it is the peak resident memory of this
    process; None on Windows.
    """
    held = [
        stats.get("peak_bytes_in_use", 0)
        for d in jax.local_devices()
        if (stats := d.memory_stats())
    ]
    if held and max(held):
        return int(max(held))
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
