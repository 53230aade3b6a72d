"""A run that does not come to its end: interrupted, its folder taken away, an error. Its card never
stays "running".
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore import files
from dlcore.errors import UsageError
from dlcore.runs import card as cards
from dlcore.runtime import processes


class Diverged(Exception):
    """A loss or gradient is not finite any more."""


@jax.jit
def finite(params: Mapping[str, Any]) -> dict[str, jax.Array]:
    """For each tree of parameters, whether all of its numbers are finite."""
    floating = {
        n: [x for x in jax.tree.leaves(p) if jnp.issubdtype(x.dtype, jnp.floating)]
        for n, p in params.items()
    }
    return {
        name: jnp.all(jnp.stack([jnp.isfinite(x).all() for x in leaves]))
        for name, leaves in floating.items()
        if leaves
    }


def not_finite_parts(params: Mapping[str, Any]) -> list[str]:
    """The names of the trees of parameters in which some number is not finite."""
    return [name for name, each in jax.device_get(finite(params)).items() if not each]


def not_finite(
    names: Sequence[str], objectives: Iterable[str], steps: Sequence[int], numbers: np.ndarray
) -> Iterator[tuple[int, str, float]]:
    """The losses and gradient norms among the metrics [steps, metrics, 2] that are not finite:
    (step, metric, value).
    """
    watched = [f"{name}/{metric}" for name in objectives for metric in ("loss", "grad_norm")]
    for step, row in zip(steps, numbers, strict=True):
        for metric in watched:
            total, weight = row[names.index(metric)]
            if not math.isfinite(total) or not math.isfinite(weight):
                yield step, metric, total / weight if weight else total


class FolderGone(UsageError):
    """The run's folder is not there any more; `now` is where it is found instead, if anywhere."""

    def __init__(self, folder: Path, now: Path | None) -> None:
        self.now = now
        way = (
            f"it is {now} now: dlcore resume {now} goes on with it"
            if now
            else "train again, or resume it where it is now"
        )
        super().__init__(
            f"{folder} was removed or renamed under its run, which ends, as it can save nothing"
            f" there: {way}"
        )


def last_checkpoint(folder: Path) -> int | None:
    """The step of the newest checkpoint that is committed."""
    return max(
        (int(path.name) for path in (folder / "checkpoints").glob("[0-9]*") if path.name.isdigit()),
        default=None,
    )


def lost(folder: Path, way: str) -> str:
    """What a run loses that ends here, and the way to go on."""
    step = last_checkpoint(folder)
    if not (folder / "metrics.jsonl").exists():
        return "nothing was trained yet"
    if step is None:
        return f"no checkpoint is complete yet; {way} begins again"
    return f"what came after the checkpoint of step {step} is lost; {way} goes on from there"


@contextmanager
def no_space_for_the_card(folder: Path, card: cards.Card) -> Iterator[None]:
    """Where a card cannot be written anew, its status is written over the old one, which takes no
    room.
    """
    try:
        yield
    except UsageError:
        with contextlib.suppress(OSError):
            number = os.open(folder / "card.json", os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
            with os.fdopen(number, "r+b") as file:
                old = file.read()
                for status in (b'"running"', b'"stopped"'):
                    if (place := old.find(b'"status": ' + status)) >= 0:
                        file.seek(place + len(b'"status": '))
                        file.write(json.dumps(card["status"]).encode().ljust(len(status)))


@contextmanager
def closing(folders: Sequence[Path], books: Sequence[cards.Card], way: str) -> Iterator[None]:
    """Where an error ends the block, the cards of the runs in `folders` that are "running" become
    "stopped", with its message.

    A KeyboardInterrupt gets a message that says what is lost, and the `way` to go on.
    """
    known = [files.identity(folder) for folder in folders]
    try:
        with contextlib.ExitStack() as held:
            for folder in folders:
                held.enter_context(files.held(folder))
            yield
    except BaseException as error:
        for folder, card, before in zip(folders, books, known, strict=True):
            if card.get("status") == "running":
                card |= {"status": "stopped", "error": str(error) or type(error).__name__}
            if (
                card.get("status") == "stopped"
                and processes.first()
                and before
                and files.identity(folder) == before
            ):
                with no_space_for_the_card(folder, card):
                    cards.write(folder, card)
        if isinstance(error, KeyboardInterrupt) and not str(error):
            raise KeyboardInterrupt(lost(folders[0], way)) from None
        raise
