"""The command that is launched: it starts a run, or resumes it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence


class Refused(Exception):
    """The launch is impossible; the message names the cause and a remedy."""


def restartable(command: Sequence[str], out: str) -> list[str]:
    """Adds `--out` and `--continue-run` to a command, so that the same command resumes the run.

    The command names the experiment file, so that it may be executed on a machine where the user
    has no list of trusted files.

    Args:
        command: `train EXPERIMENT ...`.
        out: the folder, where the command has none.

    Raises:
        Refused: the command does not train.
    """
    words = list(command)
    if not words or words[0] != "train" or len(words) < 2 or words[1].startswith("-"):
        raise Refused(
            "name what to train after --, for example: -- train cnn_fashion_mnist --steps 2000"
        )
    if not any(word == "--out" or word.startswith("--out=") for word in words):
        words += ["--out", out]
    return words if "--continue-run" in words else [*words, "--continue-run"]


def job_name(command: Sequence[str]) -> str:
    """Returns a job name for SLURM and Kubernetes, from the experiment that a command names.

    It has at most 40 lower-case letters, digits and hyphens.
    """
    stem = re.sub(r"\.py$", "", command[1].rpartition("/")[2]) if len(command) > 1 else "dlcore"
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:40] or "dlcore"


def pairs(written: Sequence[str]) -> dict[str, str]:
    """Parses `NAME=VALUE` words. Raises Refused for other words."""
    found = {}
    for word in written:
        name, equals, value = word.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise Refused(f"--env {word!r} is not NAME=VALUE")
        found[name] = value
    return found


def at_least(smallest: int, **numbers: int) -> None:
    """Raises Refused for a number below `smallest`; the names are those of the options."""
    for name, value in numbers.items():
        if value < smallest:
            raise Refused(
                f"--{name.replace('_', '-')} {value} is too small: it must be at least {smallest}"
            )


def quoted(words: Sequence[str]) -> str:
    """Returns words as one line, quoted for a shell."""
    return " ".join(map(shlex.quote, words))
