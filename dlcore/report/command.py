"""The command that trains a run again, from its card."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from dlcore.files import Json
from dlcore.options import RunOptions, short_name
from dlcore.report.compare import flatten
from dlcore.report.runs import Run
from dlcore.runs import catalog

_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*\Z")
# The folder and its resume are left out; the mesh is taken from the card's own entry.
_ELSEWHERE = ("out", "continue_run", "mesh")


def reproduce(run: Run) -> str | None:
    """Returns the command that trains a run again; None where the card names no experiment.

    It is quoted for a shell. Options and fields of the config are written out also where they have
    their defaults, except `--out`, `--continue-run` and options that are off by default and unused.
    """
    experiment = run.get("experiment")
    if not isinstance(experiment, str) or not experiment:
        return None
    file, usual = str(run.get("file") or ""), RunOptions()
    own = file.endswith(".py") and (
        experiment not in catalog.names() or Path(file).parent.name != "experiments"
    )
    words = ["dlcore", "train", shlex.quote(file if own else experiment)]
    for name, value in run.mapping("run").items():
        # Options that are off by default are left out.
        if name not in _ELSEWHERE and (value is not False or getattr(usual, name, False)):
            words += _flag(name, value)
    mesh = run.numbers("mesh")
    if any(axis != 1 for axis in mesh.values()):
        words += ["--mesh", shlex.quote(",".join(f"{name}={axis}" for name, axis in mesh.items()))]
    config = flatten(run.mapping("config"), "")
    for path, value in config.items():
        words += _flag(short_name(path, config), value)
    return " ".join(words)


def _flag(name: str, value: Json) -> list[str]:
    """A field as an option; [] where it cannot be one."""
    if not _FIELD.match(name) or value is None:
        return []
    word = name.replace("_", "-")
    flag = f"--{word}"
    if isinstance(value, bool):
        return [flag if value else f"--no-{word}"]
    if isinstance(value, list):
        return [flag, *(shlex.quote(str(item)) for item in value)]
    return [flag, shlex.quote(str(value))]
