"""Compares a stopped run with the code, options and data of now, and updates its card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from dlcore.errors import UsageError
from dlcore.options import RunOptions
from dlcore.runs import card as cards
from dlcore.runs import changes as changes_of
from dlcore.runs.card_fields import DataEntries
from dlcore.runs.catalog import Page
from dlcore.runtime import processes
from dlcore.train.experiment import Config


def changes(
    page: Page, config: Config, flags: RunOptions, folder: Path, card: cards.Card, accept: bool
) -> str:
    """Describes changes of code, config and options since a run started; "" where there are none.

    Changed data are not among them (see `data_changes`), nor are options that do not affect the
    results (see `difference`).

    Args:
        page: the experiment file as it is now.
        config: the config of now.
        flags: the run options of now.
        folder: the run.
        card: its card.
        accept: whether the user accepts changes.

    Raises:
        UsageError: something has changed and `accept` is False, or it is another experiment's run.
    """
    if card["experiment"] != page.name:
        raise UsageError(f"{folder} belongs to experiment {card['experiment']}, not {page.name}")
    changed = difference(page, config, flags, folder, card)
    if changed and not accept:
        raise UsageError(
            f"{folder} was started differently:\n{changed}\nundo the change, or continue with it:"
            " --accept-changes"
        )
    return changed


def update_card(
    known: cards.Card, folder: Path, card: cards.Card, changed: str, accept: bool
) -> None:
    """Updates the card of a stopped run for its resume, and prints changed versions and commits.

    The entries of `known` replace those of the card, except "about", "file", "step", "started",
    "git", "seconds", "params_sha256" and "results". The card's "error" is removed.

    Args:
        known: the card that a new run would get now.
        folder: the run.
        card: its card; is changed in place, and not written.
        changed: the accepted changes of code and options.
        accept: whether changed data are accepted.

    Raises:
        UsageError: the data have changed and `accept` is False.
    """
    if (other := data_changes(card, known)) and not accept:
        advice = "restore them, or continue by --accept-changes"
        raise UsageError(f"{folder} was started on other data: {other}; {advice}")
    noted = [
        *changes_of.differences(card, known, ("versions", "xla_flags")),
        *changes_of.commit(card, known),
    ]
    for line in noted if processes.first() else ():
        print(f"{folder} differs from its start: {line}", flush=True)
    accepted = (
        [*card.get("accepted_changes", []), changed]
        if changed
        else card.get("accepted_changes", [])
    )
    kept = ("about", "file", "step", "started", "git", "seconds", "params_sha256", "results")
    renewed = {name: value for name, value in known.items() if name not in kept}
    card.update(cast(cards.Card, renewed))
    card |= {"accepted_changes": accepted, "resumed": card.get("resumed", 0) + 1}
    if noted:
        card["noted_changes"] = [*card.get("noted_changes", []), *noted]
    card.pop("error", None)


def data_changes(then: cards.Card, now: DataEntries | cards.Card) -> str:
    """Describes how the data of two cards differ, as "train examples: 1078 then, 900 now".

    Args:
        then: the older card.
        now: the newer card, or its entries on data.

    Returns:
        The description; "" where the data are the same.
    """
    a, b = then.get("data") or {}, now["data"]
    found = [
        f"split {split} {'is gone' if split in a else 'is new'}" for split in sorted({*a} ^ {*b})
    ]
    for split in (split for split in b if split in a):
        before: Mapping[str, object] = a[split]
        after: Mapping[str, object] = b[split]
        names = [name for name in after if before.get(name) != after[name]]
        # a changed fingerprint adds nothing where another entry has changed
        if names not in ([], ["fingerprint"]):
            names = [name for name in names if name != "fingerprint"]
        found += [f"{split} {name}: {before.get(name)} then, {after[name]} now" for name in names]
    return "; ".join(found)


def difference(
    page: Page, config: Config, flags: RunOptions, folder: Path, card: cards.Card
) -> str:
    """Describes changes of the experiment file, its config and the run options.

    Comments, docstrings and layout of the file are not compared, nor are options that do not
    affect the results, such as paths, intervals and devices.

    Args:
        page: the experiment file as it is now.
        config: the config of now.
        flags: the run options of now.
        folder: the run, which has kept the text of the file.
        card: its card.

    Returns:
        The first 60 lines of a unified diff of the file, and then a line for each changed field of
        the config and the options; "" where nothing has changed.
    """
    found_changes: list[str] = []
    kept = folder / "experiment.py"
    before = kept.read_text(encoding="utf-8", errors="replace") if kept.is_file() else ""
    found_changes += changes_of.code_difference(before, page.source, str(page.path))
    # Paths, intervals and the use of devices may change between a stop and a resume.
    free = {
        "out",
        "continue_run",
        "seeds",
        "parallel",
        "cpu_devices",
        "mesh",
        "microbatches",
        "log_every",
        "eval_every",
        "diagnose",
        "save_every",
        "keep",
        "threads",
        "workers",
        "track",
        "heartbeat",
        "stall",
    }
    for word, kept_fields, fields in (
        ("config", card.get("config", {}), cards.plain(config)),
        ("flag", card.get("run", {}), cards.plain(flags)),
    ):
        old, new = changes_of.flat(kept_fields), changes_of.flat(fields)
        for name in sorted({*old, *new} - (free if word == "flag" else set())):
            a, b = (json.dumps(x[name]) if name in x else "not there" for x in (old, new))
            if a != b:
                found_changes.append(f"{word} {name}: {a} then, {b} now")
    return "\n".join(found_changes)
