"""A run opened for use: its experiment and its best state, without its data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlcore.errors import UsageError
from dlcore.options import RunOptions
from dlcore.runs import card as cards
from dlcore.runs import trust
from dlcore.runs.catalog import Page
from dlcore.train import model_file
from dlcore.train.experiment import Config, Experiment
from dlcore.train.model_file import MODEL
from dlcore.train.predictor import with_results
from dlcore.train.step import State


@dataclasses.dataclass(frozen=True)
class Described:
    """A run whose experiment is not built yet.

    Attributes:
        folder: of the run.
        page: its loaded experiment file.
        card: its card.
        config, flags: the experiment's config and the run options that the card records.
    """

    folder: Path
    page: Page
    card: cards.Card
    config: Config
    flags: RunOptions


@dataclasses.dataclass(frozen=True)
class Opened:
    """A run whose model can be used.

    Attributes:
        folder, card, config: of the run.
        experiment: built from the facts of the data; from the data where the run has no facts.
        state: the best state, or the newest if `opened` was called with `last`; averaged parameters
            where the run keeps averages, and no optimizer state.
        notes: messages for the user on where state and facts come from.
    """

    folder: Path
    card: cards.Card
    config: Config
    experiment: Experiment
    state: State
    notes: tuple[str, ...] = ()


def described(folder: Path, trusted: bool = False) -> Described:
    """Reads a run's card and loads its experiment file.

    Args:
        folder: of the run, or of numbered runs, of which that with the highest number is taken.
        trusted: execute the experiment file although this user never trained with it.

    Raises:
        UsageError: there is no run; its card is damaged; the folder has a run for each of several
            seeds; or the experiment file may not be executed.
    """
    folder, _ = newest(folder)
    seeds = sorted(folder.glob("seed-*/card.json"))
    if seeds and not (folder / "card.json").exists():
        raise UsageError(f"{folder} holds {len(seeds)} seeds: name one of them, {seeds[0].parent}")
    card = cards.read(folder)
    page = trust.page(folder, card, trusted)
    config = cards.fields(folder, page.config, card, "config")
    return Described(folder, page, card, config, cards.fields(folder, RunOptions, card, "run"))


def newest(folder: Path) -> tuple[Path, int]:
    """Finds the newest run of a folder of numbered runs.

    Returns:
        (the run with the highest number, number of runs); (folder, 0) if the folder is itself a
        run, has no numbered runs, or does not exist.
    """
    runs = [path.parent for path in folder.glob("[0-9]*/card.json")] if folder.is_dir() else []
    if not runs or (folder / "card.json").exists():
        return folder, 0
    return max(runs, key=lambda path: int(path.name) if path.name.isdecimal() else 0), len(runs)


def opened(run: Described, last: bool = False) -> Opened:
    """Builds a run's experiment, and reads its state.

    The best state is read from model.safetensors, which a finished run writes, also if the run has
    been trained further since (`notes` of the result says so); where that file is missing, from the
    best checkpoint, or the newest if no best one can be read.

    Args:
        run: what `described` has returned.
        last: read the newest checkpoint in any case, and not the best state.

    Raises:
        UsageError: the facts (or the data) cannot be read, or the experiment file rejects them or
            the config; no state can be read, or it does not fit the experiment.
    """
    notes, folder = [], run.folder
    experiment = run.page.without_data(run.config, folder)
    if experiment is None:
        notes.append(f"{folder} keeps no facts of its data, which are opened")
        experiment = run.page.experiment(run.config, run.flags.source)
    file = folder / MODEL
    if last or not file.exists():
        if not last:
            notes.append(f"{folder} keeps no {MODEL}: its best checkpoint is read")
        state = _from_checkpoint(run, experiment, last)
    else:
        template = experiment.splits.template(experiment.batch)
        state, _ = model_file.load(file, experiment.models, template)
        if run.card.get("status") != "done":
            notes.append(
                f"{folder} has been trained further since {file.name} was written at step"
                f" {int(state.step)}: --last reads its newest checkpoint"
            )
    predictor = with_results(experiment.predictor, run.card.get("results") or {})
    if predictor is not experiment.predictor and int(state.step) != (step := _measured(run.card)):
        notes.append(
            f"thresholds and calibrations of {folder} were chosen at step {step}, and its state is"
            f" that of step {int(state.step)}: they may not fit it"
        )
    experiment = dataclasses.replace(experiment, predictor=predictor)
    return Opened(folder, run.card, run.config, experiment, state, tuple(notes))


def _measured(card: Mapping[str, Any]) -> int:
    """The step of the state whose metrics are in a card."""
    best = card.get("best") if card.get("status") == "done" else None
    return int(best["step"] if best else card["step"])


def _from_checkpoint(run: Described, experiment: Experiment, last: bool) -> State:
    from dlcore.runs import evaluation

    flags = dataclasses.replace(run.flags, mesh="", parallel="auto", cpu_devices=1)
    state = evaluation.restored(experiment, flags, run.folder, run.card, last)
    return dataclasses.replace(state, opt={})
