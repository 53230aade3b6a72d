"""What is launched: words that begin a run, or go on with it where it was begun before."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence


class Refused(Exception):
    """What cannot be launched, and the way out."""


def restartable(command: Sequence[str], out: str) -> list[str]:
    """`train EXPERIMENT ...` with `--out` and `--continue-run`: started again, the same words go on
    where the run stopped.

    They name the experiment file, which therefore runs also where the list of files that the user
    knows is empty.
    """
    words = list(command)
    if not words or words[0] != "train" or len(words) < 2 or words[1].startswith("-"):
        raise Refused("say what to train behind --, as in: -- train cnn_fashion_mnist --steps 2000")
    if not any(word == "--out" or word.startswith("--out=") for word in words):
        words += ["--out", out]
    return words if "--continue-run" in words else [*words, "--continue-run"]


def job_name(command: Sequence[str]) -> str:
    """A name that SLURM and Kubernetes both take: lower case, digits and hyphens, at most 40 of
    them.
    """
    stem = re.sub(r"\.py$", "", command[1].rpartition("/")[2]) if len(command) > 1 else "dlcore"
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:40] or "dlcore"


def pairs(written: Sequence[str]) -> dict[str, str]:
    """`NAME=VALUE` words as a dict."""
    found = {}
    for word in written:
        name, equals, value = word.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise Refused(f"--env {word!r} is not NAME=VALUE")
        found[name] = value
    return found


def at_least(smallest: int, **numbers: int) -> None:
    """Raises Refused for a number that is smaller; the names are those of the flags."""
    for name, value in numbers.items():
        if value < smallest:
            raise Refused(
                f"--{name.replace('_', '-')} {value} is too small: it must be at least {smallest}"
            )


def quoted(words: Sequence[str]) -> str:
    """Words as a shell takes them."""
    return " ".join(map(shlex.quote, words))
