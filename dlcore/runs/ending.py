"""Runs that end early, by an interrupt, an error or a removed folder: their cards record why."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from dlcore import files
from dlcore.errors import UsageError
from dlcore.runs import card as cards
from dlcore.runtime import processes
from dlcore.sharding import Tree


class Diverged(Exception):
    """A loss, a gradient or a parameter is no longer finite."""


@jax.jit
def finite(params: Mapping[str, Tree]) -> dict[str, jax.Array]:
    """Computes for each tree of parameters whether all of its floating-point numbers are finite.

    Returns:
        {name: bool scalar}; names of trees without floating-point numbers are left out.
    """
    floating = {
        n: [x for x in jax.tree.leaves(p) if jnp.issubdtype(x.dtype, jnp.floating)]
        for n, p in params.items()
    }
    return {
        name: jnp.all(jnp.stack([jnp.isfinite(x).all() for x in leaves]))
        for name, leaves in floating.items()
        if leaves
    }


def not_finite_parts(params: Mapping[str, Tree]) -> list[str]:
    """Returns the names of the trees of parameters that contain a number that is not finite."""
    return [name for name, each in jax.device_get(finite(params)).items() if not each]


def not_finite(
    names: Sequence[str], objectives: Iterable[str], steps: Sequence[int], numbers: np.ndarray
) -> Iterator[tuple[int, str, float]]:
    """Finds the losses and gradient norms that are not finite.

    Args:
        names: the metrics.
        objectives: names of the objectives whose loss and gradient norm are checked.
        steps: the steps.
        numbers: totals and weights [steps, metrics, 2].

    Yields:
        (step, metric, value) in the order of `steps`; the value is total / weight, or the total
        where the weight is 0.
    """
    watched = [f"{name}/{metric}" for name in objectives for metric in ("loss", "grad_norm")]
    for step, row in zip(steps, numbers, strict=True):
        for metric in watched:
            total, weight = row[names.index(metric)]
            if not math.isfinite(total) or not math.isfinite(weight):
                yield step, metric, total / weight if weight else total


class FolderGone(UsageError):
    """The run's folder was removed or renamed.

    Attributes:
        now: the folder's new path; None where it is unknown or was removed.
    """

    def __init__(self, folder: Path, now: Path | None) -> None:
        self.now = now
        way = (
            f"it is {now} now: dlcore resume {now} continues it"
            if now
            else "train again, or resume it where it is now"
        )
        super().__init__(
            f"{folder} was removed or renamed during its run, which ends because it cannot save"
            f" there: {way}"
        )


def last_checkpoint(folder: Path) -> int | None:
    """Returns the step of a run's newest committed checkpoint; None where there is none."""
    return max(
        (
            int(path.name)
            for path in (folder / "checkpoints").glob("[0-9]*")
            if path.name.isdecimal()
        ),
        default=None,
    )


def lost(folder: Path, way: str) -> str:
    """Describes the training that is lost if a run ends now.

    Args:
        folder: the run.
        way: the command that continues it.

    Returns:
        A clause, such as "no checkpoint is complete yet; dlcore resume RUN starts again".
    """
    step = last_checkpoint(folder)
    if not (folder / "metrics.jsonl").exists():
        return "nothing was trained yet"
    if step is None:
        return f"no checkpoint is complete yet; {way} starts again"
    return f"what came after the checkpoint of step {step} is lost; {way} continues from there"


@contextmanager
def no_space_for_the_card(folder: Path, card: cards.Card) -> Iterator[None]:
    """Where the block cannot write the card, changes the status in the existing file in place.

    The file does not grow, so that this works on a full disk. The block's UsageError is suppressed,
    whether or not the status could be changed.

    Args:
        folder: the run.
        card: its card, with the new status.
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
def closing(
    folders: Sequence[Path], run_cards: Sequence[cards.Card], command: str
) -> Iterator[None]:
    """Where an error ends the block, saves the running cards as stopped, with its message.

    The error, of any kind, is raised again. A KeyboardInterrupt without a message gets one that
    says what is lost and how to continue. Only the first process writes cards, and none into a
    folder that was removed or renamed.

    Args:
        folders: the folders of the runs.
        run_cards: the card of each folder; one whose status is "running" is changed in place to
            "stopped". All that are "stopped" then are written.
        command: the command that continues the runs.
    """
    known = [files.identity(folder) for folder in folders]
    try:
        with contextlib.ExitStack() as held:
            for folder in folders:
                held.enter_context(files.held(folder))
            yield
    except BaseException as error:
        for folder, card, before in zip(folders, run_cards, known, strict=True):
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
            raise KeyboardInterrupt(lost(folders[0], command)) from None
        raise
