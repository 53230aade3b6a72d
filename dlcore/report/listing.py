"""`dlcore list`: what there is to train, by task, with our number and the published one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from dlcore.errors import UsageError
from dlcore.report import kept_cards, table
from dlcore.runs import catalog


def show(words: Sequence[str] = ()) -> None:
    """Prints a table of the experiments by task, with our result and the published one.

    Args:
        words: each must occur in an experiment's name or description; case is ignored.

    Raises:
        UsageError: no experiment has all of them.
    """
    described = {name: catalog.about(catalog.folder() / f"{name}.py") for name in catalog.names()}
    found = {name: about for name, about in described.items() if _matches(name, about, words)}
    if not found:
        raise UsageError(
            f"no experiment has {' and '.join(map(repr, words))} in its name or description:"
            f" dlcore list shows all {len(described)}"
        )
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("experiment", "family", "metric", "ours", "published"):
        shown.add_column(column, overflow="fold")
    tasks = sorted({_task(about) for about in found.values()})
    for task in tasks:
        shown.add_row("")
        shown.add_row(f"[bold]{task or 'other'}[/bold]")
        for name, about in found.items():
            if _task(about) == task:
                shown.add_row(f"  {name}", about.get("family", ""), *_numbers(name, about))
    console = Console()
    # for a file or a pipe, as wide as it needs
    Console(width=console.width if console.is_terminal else 160).print(shown)


def _matches(name: str, about: dict[str, str], words: Sequence[str]) -> bool:
    text = " ".join((name, *about.values())).casefold()
    return all(word.casefold() in text for word in words)


def _task(about: dict[str, str]) -> str:
    """The first task that an experiment names."""
    return re.split(r", | \(", about.get("task", ""))[0]


def _numbers(name: str, about: dict[str, str]) -> tuple[str, str, str]:
    """The headline metric of an experiment, our value, and the published one."""
    card = kept_cards.result(name)
    if not card:
        return "", "not run", ""
    metric, published = table.headline(card, about), card.get("published")
    return metric, table.values(card)[metric], f"{published['value']:g}" if published else ""
