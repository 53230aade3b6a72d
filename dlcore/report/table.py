"""The table of results in experiments/README.md, from the cards in experiments/results."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping
from pathlib import Path

from dlcore.errors import UsageError
from dlcore.metrics.known import best_baseline
from dlcore.report.kept_cards import keep
from dlcore.runs import catalog
from dlcore.runs.card import read_file
from dlcore.runs.card_fields import Card, PublishedResult, Repeat, Results


def headline(card: Card, described: Mapping[str, str]) -> str:
    """Returns the headline metric of a card, as "split/metric".

    It is the first of these that is among the card's results: the metric of the published number
    on its split; the one that the experiment file names in its line `Headline:`; the first of the
    test split; the first of all.

    Args:
        card: of a finished run, with at least one result.
        described: what `catalog.about` reads from the experiment file.
    """
    results = flat(card["results"])
    published = card.get("published")
    compared = f"{published['split']}/{published['metric']}" if published else ""
    declared = (compared, described.get("headline"))
    tested = [name for name in results if name.startswith("test/")]
    return next(name for name in (*declared, *tested, *results) if name in results)


def values(card: Card) -> dict[str, str]:
    """Formats each result of a card: mean and sample standard deviation over `repeated(card)`.

    Returns:
        {"split/metric": "0.9943 ± 0.0002"}; for a single entry of `repeated` the value alone.
    """
    runs, _ = repeated(card)
    return {name: _spread([run[name] for run in runs]) for name in runs[0]}


def baseline(card: Card, metric: str) -> str:
    """Returns the best of the baselines that a card has for a metric; "" without one.

    Args:
        card: of a finished run.
        metric: "split/metric"; its direction decides which baseline is best.

    Returns:
        Value and name, as "0.01459 (zero_mse)".
    """
    split, _, name = metric.partition("/")
    best = best_baseline(name, card["results"][split], card["metrics"])
    # most baselines do not depend on the seed
    return f"{values(card)[f'{split}/{best}'].removesuffix(' ± 0')} ({best})" if best else ""


def repeated(card: Card) -> tuple[list[dict[str, float]], str]:
    """Returns the results {"split/metric": value} of a card's runs, and a text on their number.

    With several seeds of several folds, there is one entry for each seed: the mean over its folds.
    The text is such as "5 runs", "5 folds" or "3 seeds of 10 folds", and "" for a single run.
    """
    repeats = _repeats(card)
    runs = [flat(each["results"]) for each in repeats]
    seeds = sorted({each["seed"] for each in repeats}) if "fold" in repeats[0] else []
    if len(seeds) > 1:
        each = [
            [run for run, who in zip(runs, repeats, strict=True) if who["seed"] == seed]
            for seed in seeds
        ]
        means = [
            {name: statistics.fmean(run[name] for run in part) for name in part[0]} for part in each
        ]
        return means, f"{len(seeds)} seeds of {len(repeats) // len(seeds)} folds"
    kind = "folds" if seeds else "runs"
    return runs, f"{len(runs)} {kind}" if len(runs) > 1 else ""


def _repeats(card: Card) -> list[Repeat]:
    """The runs of a card; without repeats its own."""
    return card.get("repeats") or [Repeat(results=card["results"], seconds=card.get("seconds", {}))]


def flat(results: Results) -> dict[str, float]:
    """Returns results as one mapping {"split/metric": value}."""
    return {
        f"{split}/{name}": value
        for split, metrics in results.items()
        for name, value in metrics.items()
    }


def _spread(values: list[float]) -> str:
    """The mean, with the sample standard deviation of several runs."""
    mean = f"{statistics.fmean(values):.4g}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.1g}"


def _cores(card: Card) -> str:
    count = card["host"]["cores"]
    return f"{count} core" + "s" * (count != 1)


def rows() -> str:
    """Returns the table of results in Markdown, from the kept cards.

    Each row shows one headline metric; the rest of the card is in a folded <details> element.
    Experiments without a kept card have no row.
    """
    lines = [
        "| experiment | data | metric | published | baseline | ours | all results |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in catalog.names():
        described = catalog.about(catalog.folder() / f"{name}.py")
        paths = (catalog.folder() / "results").glob(f"{name}*.json")
        for path in sorted(paths, key=lambda path: (len(path.stem), path.stem)):
            card = read_file(path)
            if card["experiment"] == name:
                lines.append("| " + " | ".join(_cells(card, described)) + " |")
    return "\n".join(lines)


def _cells(card: Card, described: dict[str, str]) -> list[str]:
    """A row of the table of results."""
    name, data, metric = card["experiment"], card["data"]["train"], headline(card, described)
    published, ours = card.get("published"), values(card)
    runs, (_, count) = _repeats(card), repeated(card)
    cost = ", ".join(
        f"{min(run['seconds'][k] for run in runs):.0f} s {word}" for k, word in SECONDS
    )
    folded = [
        described.get("family", ""),
        f"{sum(card['parameters'].values()):,} parameters",
        *(f"{each} {value}" for each, value in ours.items() if _is_shown(each, ours)),
        count,
        (
            f"published: {published['value']:g} ({published['source']})"
            if published
            else f"published: {described.get('published', '')}"
        ),
        cost,
        f"{card['host']['cpu']}, {_cores(card)}",
    ]
    summary = "<details><summary>more</summary>"
    return [
        f"[`{name}`]({name}.py)" + (f" `{card['flags']}`" if card.get("flags") else ""),
        f"{data['name']} {data['version']}",
        metric,
        _published(published) if published else "",
        baseline(card, metric),
        ours[metric] + (f" ({count})" if count else ""),
        f"{summary}{'<br>'.join(filter(None, folded))}</details>",
    ]


def _published(published: PublishedResult) -> str:
    caveat = published.get("caveat")
    return f"{published['value']:g}" + (f" ({caveat})" if caveat else "")


def _is_shown(metric: str, results: Mapping[str, str]) -> bool:
    """Whether a metric belongs to the results: not those of train and validation beside a test."""
    chosen_on = metric.startswith(("train", "validation"))
    return not chosen_on or not any(name.startswith("test/") for name in results)


def write(page: Path) -> None:
    """Replaces the table of results in a Markdown page.

    Raises:
        UsageError: no line of the page begins with "| experiment |", as the table's head does.
    """
    lines = page.read_text(encoding="utf-8").splitlines()
    marked = [number for number, line in enumerate(lines) if line.startswith("|")]
    first = next((number for number in marked if lines[number].startswith("| experiment |")), None)
    if first is None:
        raise UsageError(
            f"{page} has no table that begins with '| experiment |': put one line of it where the"
            " table belongs"
        )
    last = next(number for number in range(first, len(lines) + 1) if number not in marked)
    page.write_text("\n".join([*lines[:first], rows(), *lines[last:]]) + "\n", encoding="utf-8")


SECONDS = (("train", "train"), ("total", "in all"))


# python -m dlcore.report.table [RUN ...]: keeps these runs' cards, updates experiments/README.md
if __name__ == "__main__":
    try:
        keep([Path(run) for run in sys.argv[1:]])
        write(catalog.folder() / "README.md")
    except (UsageError, OSError) as error:
        sys.exit(f"dlcore: {error}")
