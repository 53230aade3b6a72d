"""Training from Python or a notebook: `dlcore.run(experiment, **settings)`."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dlcore.bounds import Dataclass
from dlcore.cli import arguments, environment
from dlcore.errors import UsageError
from dlcore.export import model
from dlcore.options import RunOptions, flag_names
from dlcore.report import runs as logs
from dlcore.runs import card as cards
from dlcore.runs import catalog
from dlcore.runs.ending import Diverged
from dlcore.runs.loop import FAILED
from dlcore.train.experiment import Config


class Curve(NamedTuple):
    """A metric over training.

    Attributes:
        steps: int64 [n], ascending.
        values: float64 [n], the last that was logged at each step; NaN where not finite.
    """

    steps: np.ndarray
    values: np.ndarray


@dataclasses.dataclass(frozen=True)
class Run:
    """A run on disk, whose files are read anew at each access.

    Attributes:
        folder: of the run.
    """

    folder: Path

    @property
    def card(self) -> cards.Card:
        """The contents of the run's card.json, such as `card["results"]["test"]["accuracy"]`."""
        return cards.read(self.folder)

    @property
    def curves(self) -> dict[str, Curve]:
        """{"SPLIT/METRIC": curve} of all logged metrics, such as "train/net/loss"."""
        found, _ = logs.metrics(self.folder / "metrics.jsonl")
        return {f"{split}/{name}": Curve(*series) for (split, name), series in found.items()}

    def load(self, *, last: bool = False) -> model.TrainedModel:
        """Loads the model's best state, or with `last` its newest checkpoint; see `dlcore.load`."""
        return model.load(self.folder, last=last)


def run(experiment: str | Path, *, preset: str = "", **settings: object) -> Run | list[Run]:
    """Trains an experiment, as `dlcore train` does: with the same checks, messages and folder.

    If JAX has initialised its devices already, the run has these, whatever `cpu_devices` is.

    Args:
        experiment: its name, such as "cnn_mnist", or the path of an experiment file.
        preset: one of the experiment's presets.
        settings: fields of its `Config` and run options, as their flags are called: `steps=100`,
            `lr=1e-3`, `offline=True`, `data="photos"`, `out="runs/mine"`. A dot in a flag's name
            is written as two underscores.

    Returns:
        The run; with `seeds=N`, N > 1, a list of N runs. A run that was interrupted has
        `card["status"] == "stopped"`; one of several that has diverged has "failed".

    Raises:
        UsageError: what the command line would refuse.
        Diverged: the loss or the parameters of a single run are no longer finite.

    Example:
        run = dlcore.run("mlp_digits", steps=300)
        run.card["results"]["test"]["accuracy"]
        run.curves["train/net/loss"].values
        run.load()(images)
    """
    page = catalog.load(catalog.find(str(experiment)))
    start = [f"--preset={preset}"] if preset else []
    config = page.usual([*start, *(["--offline"] if settings.get("offline") else [])])
    words = _words(settings, {**_flags(config), **_flags(page.flags)})
    config, flags = _parsed(words, page.name, config, page.flags)
    flags = _environment(flags, config.batch)
    from dlcore.runs import session
    from dlcore.seeds import runs as seeds

    folders: list[Path] = []
    train = seeds.train if flags.seeds > 1 else session.train
    code = train(page, config, flags, folders.append)
    found = [Run(folder) for folder in folders]
    if code == FAILED and len(found) == 1:
        raise Diverged(str(found[0].card.get("error")))
    return found if flags.seeds > 1 else found[0]


def _flags(config: Dataclass) -> dict[str, object]:
    """{flag: default} of a dataclass."""
    found = {}
    for path, name in flag_names(config).items():
        value: object = config
        for part in path.split("."):
            value = getattr(value, part)
        found[name] = value
    return found


def _words(settings: Mapping[str, object], known: Mapping[str, object]) -> list[str]:
    """Settings as a command line. UsageError: a name that is no flag."""
    words: list[str] = []
    for given, value in settings.items():
        name = given.replace("__", ".")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            offer = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise UsageError(f"there is no setting {name!r}: {offer}")
        flag = name.replace("_", "-")
        if isinstance(known[name], bool) and isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif isinstance(value, list | tuple):
            words += [f"--{flag}", *map(str, value)]
        else:
            words += [f"--{flag}={value}"]
    return words


def _parsed(
    words: Sequence[str], name: str, config: Config, flags: RunOptions
) -> tuple[Config, RunOptions]:
    """What `dlcore train` makes of the words; its refusal, which exits, as UsageError."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            return arguments.parse(words, name, "", config=config, flags=flags)
    except SystemExit as error:
        text = re.sub(r"[─│╭╮╰╯\s]+", " ", said.getvalue()).strip()
        raise UsageError(f"{name}: {text}") from error


def _environment(flags: RunOptions, batch: int) -> RunOptions:
    """As the command line sets it up; where JAX has its devices already, on these."""
    try:
        return environment.prepare(flags, batch)
    except RuntimeError:  # JAX: the number of devices cannot be changed any more
        return environment.prepare(flags, batch, {**os.environ, "JAX_NUM_CPU_DEVICES": ""})
