"""The command line that trains a run again, from its card."""

from __future__ import annotations

import re
import shlex
from typing import Any

from dlcore.report.compare import flatten
from dlcore.report.runs import Run

_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*\Z")
_ELSEWHERE = ("out", "mesh")  # where the run was put is no part of it; the mesh is written from the card's own entry


def reproduce(run: Run) -> str | None:
    """`dlcore train NAME --flag value ...`; None where the card does not name the experiment."""
    experiment = run.get("experiment")
    if not isinstance(experiment, str) or not experiment:
        return None
    words = ["dlcore", "train", shlex.quote(experiment)]
    for name, value in run.mapping("run").items():
        # Common switches that are off need no flag.
        if name not in _ELSEWHERE and value is not False:
            words += _flag(name, value)
    mesh = run.numbers("mesh")
    if any(axis != 1 for axis in mesh.values()):
        words += ["--mesh", shlex.quote(",".join(f"{name}={axis}" for name, axis in mesh.items()))]
    for name, value in flatten(run.mapping("config"), "").items():
        words += _flag(name, value)
    return " ".join(words)


def _flag(name: str, value: Any) -> list[str]:
    """One field as a flag; nothing for what cannot be one."""
    if not _FIELD.match(name) or value is None:
        return []
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        head, _, last = flag[2:].rpartition(".")
        return [flag if value else f"--{head}{'.' if head else ''}no-{last}"]
    if isinstance(value, list):
        return [flag, *(shlex.quote(str(item)) for item in value)]
    return [flag, shlex.quote(str(value))]
