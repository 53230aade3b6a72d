"""What there is to train, with the published number and ours: `dlcore list`, and the README's table."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from dlcore import catalog


def catalogue() -> None:
    """Print every experiment with what it says of itself, and our number where a result card is kept."""
    table = Table(show_lines=True)
    for column in ("experiment", "family", "task", "data", "published", "ours"):
        table.add_column(column, overflow="fold")
    for name in catalog.names():
        told = catalog.about(catalog.folder() / f"{name}.py")
        words = [told.get(word, "") for word in ("family", "task", "data", "published")]
        table.add_row(name, *words, ours(result(name)))
    console = Console()
    Console(width=max(console.width, 140)).print(table)


def result(name: str) -> dict[str, Any]:
    """The kept card of an experiment; empty if there is none."""
    path = catalog.folder() / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def ours(card: dict[str, Any]) -> str:
    """The number to hold against the published one (or every test result), and what it cost."""
    if not card:
        return "not run"
    named = {f"{split}/{k}": v for split, metrics in card["results"].items() for k, v in metrics.items()}
    published = card.get("published") or {}
    wanted = f"{published.get('split')}/{published.get('metric')}"
    shown = {wanted: named[wanted]} if wanted in named else {k: v for k, v in named.items() if k.startswith("test/")}
    cost = f"{sum(card['seconds'][k] for k in ('compile', 'train', 'eval')):.0f} s on {card['host']['cores']} cores"
    return ", ".join(f"{k} {v:.4g}" for k, v in shown.items()) + f" ({cost})"


def readme(names: list[str] | None = None) -> str:
    """The table of experiments in Markdown, from the kept result cards: no row without a run."""
    rows = [
        "| experiment | family | data | parameters | published | ours | seconds | machine |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in names or catalog.names():
        card, told = result(name), catalog.about(catalog.folder() / f"{name}.py")
        if not card:
            continue
        data = card["data"]["train"]
        cells = [
            f"[`{name}`](experiments/{name}.py)",
            told.get("family", ""),
            f"{data['name']} {data['version']}",
            f"{sum(card['parameters'].values()):,}",
            told.get("published", ""),
            ours(card).rpartition(" (")[0],
            f"{card['seconds']['train']:.0f} train, {card['seconds']['total']:.0f} in all",
            f"{card['host']['cpu']}, {card['host']['cores']} cores",
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def keep(run: Path) -> Path:
    """Copy a finished run's card into experiments/results/, without what names a machine's folders."""
    card = json.loads((run / "card.json").read_text(encoding="utf-8"))
    card["file"], card["run"]["out"] = f"experiments/{card['experiment']}.py", ""
    path = catalog.folder() / "results" / f"{card['experiment']}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":  # python -m dlcore.report.table [RUN ...]: keep the cards of these runs, print the README's table
    for run in sys.argv[1:]:
        keep(Path(run))
    print(readme())
