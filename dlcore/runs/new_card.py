"""The card of a new run, and what of it follows from the experiment."""

from __future__ import annotations

import dataclasses
import datetime
from typing import cast

from dlcore.data.own.found import VERSION
from dlcore.options import RunOptions
from dlcore.runs import card as cards
from dlcore.runs import catalog, circumstances
from dlcore.runs.card_fields import DataEntries
from dlcore.runs.catalog import Page
from dlcore.sharding import Layout
from dlcore.train.experiment import Config, Experiment


def new_card(
    page: Page, config: Config, flags: RunOptions, experiment: Experiment, place: Layout
) -> cards.Card:
    """Returns the card of a new run, with the status "running" and without results.

    Args:
        page: the experiment file.
        config: its config.
        flags: the run options.
        experiment: what the file has built.
        place: the devices.
    """
    return {
        "format": cards.FORMAT,
        "experiment": page.name,
        "about": page.about,
        "file": catalog.recorded(page.path),
        "status": "running",
        "step": 0,
        "steps": experiment.steps,
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "config": cards.plain(config),
        "run": cards.plain(flags),
        "git": circumstances.git(page.path.resolve().parent),
        "versions": circumstances.versions(),
        **circumstances.machine(),
        "mesh": dict(place.mesh.shape),
        **describe(experiment),
        "seconds": {},
        "params_sha256": {"start": None, "end": None},
        "results": {},
    }


def describe(experiment: Experiment) -> DataEntries:
    """Returns the card's entries "data" (of each split), "metrics" and "published".

    The last one is None on data of one's own.
    """
    data = {"train": experiment.train, **experiment.evaluated}
    infos = {split: dataclasses.asdict(source.info) for split, source in data.items()}
    metrics = {name: metric._asdict() for name, metric in experiment.known_metrics.items()}
    own = experiment.train.info.version == VERSION  # whose results compare with no other data's
    published = experiment.published._asdict() if experiment.published and not own else None
    return cast(DataEntries, {"data": infos, "metrics": metrics, "published": published})
