"""The cards kept in experiments/results: runs that differ by seed or fold alone share one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import cast

from dlcore.errors import UsageError
from dlcore.options import flag, short_name
from dlcore.runs import catalog, changes, trust
from dlcore.runs.card import plain, read_file
from dlcore.runs.card_fields import Card, Repeat

REPEATED = ("fold",)  # fields of a Config that, like the seed, count repetitions


def result(name: str) -> Card:
    """Reads an experiment's card experiments/results/NAME.json; {} where there is none.

    It is that of the default config.
    """
    path = catalog.folder() / "results" / f"{name}.json"
    return read_file(path) if path.is_file() else {}


def keep(runs: list[Path]) -> list[Path]:
    """Copies cards of finished runs to experiments/results/NAME[-FLAGS].json; returns the paths.

    Runs of one experiment whose configs differ at most in the fold share a card, whatever their run
    options (but for the precision, which must be the same): that of the lowest seed (and fold),
    with results and hashes of all as `repeats`, and the fields of the config that differ from the
    defaults as `flags`.

    Raises:
        UsageError: a run is not finished, its experiment file may not be executed, or two runs of
            one card have the same seed and fold, or different precisions.
    """
    groups: dict[str, list[tuple[Path, Card]]] = {}
    for run in runs:
        card = read_file(run / "card.json")
        if card["status"] != "done":
            raise UsageError(f"{run} is {card['status']}, not done: dlcore resume {run}")
        config = {name: value for name, value in card["config"].items() if name not in REPEATED}
        key = json.dumps([card["experiment"], config], sort_keys=True)
        groups.setdefault(key, []).append((run, card))
    for repeats in groups.values():
        _check_repeats(repeats)
    return [_keep(sorted((c for _, c in repeats), key=_order)) for repeats in groups.values()]


def _check_repeats(repeats: list[tuple[Path, Card]]) -> None:
    by_repeat: dict[tuple[int, ...], Path] = {}
    for run, card in repeats:
        if (other := by_repeat.setdefault(tuple(_order(card)), run)) != run:
            raise UsageError(f"{other} and {run} have one config, seed and fold: keep one of them")
    precisions = {card["run"].get("precision", "f32"): run for run, card in repeats}
    if len(precisions) > 1:
        found = " and ".join(f"{run} ({name})" for name, run in sorted(precisions.items()))
        raise UsageError(f"{found} differ in --precision alone: keep one of them")


def _order(card: Card) -> list[int]:
    numbers = [card["run"]["seed"], *(card["config"].get(name, 0) for name in REPEATED)]
    return [number for number in numbers if isinstance(number, int)]


def _keep(cards: list[Card]) -> Path:
    card = cards[0]
    described = ("results", "seconds", "params_sha256", "marks")
    if len(cards) > 1:
        own = [
            {
                "seed": each["run"]["seed"],
                **{n: each["config"][n] for n in REPEATED if n in each["config"]},
            }
            for each in cards
        ]
        repeats = [
            {**who, **{k: each.get(k) for k in described}}
            for who, each in zip(own, cards, strict=True)
        ]
        card["repeats"] = cast(list[Repeat], repeats)
    # without paths of a machine
    card["file"], card["run"]["out"] = f"experiments/{card['experiment']}.py", ""
    page = trust.page(catalog.folder(), card)
    usual = changes.flat(plain(page.config()))
    config = changes.flat(card["config"])
    other = {
        path: value
        for path, value in config.items()
        if path not in REPEATED and usual.get(path) != value
    }
    card["flags"] = " ".join(flag(short_name(path, config), value) for path, value in other.items())
    slug = re.sub(r"[^a-z0-9.]+", "-", card["flags"].lower()).strip("-")
    path = catalog.folder() / "results" / ("-".join(filter(None, [page.name, slug])) + ".json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return path
