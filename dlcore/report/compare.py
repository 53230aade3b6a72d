"""Tables of what runs scored and cost, and of the fields in which they differ."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from dlcore.files import Json
from dlcore.report.curves import Chart, Curve, better
from dlcore.report.markup import MISSING, Html, el, is_number, number, seconds, size
from dlcore.report.runs import Run

# What the user chose, and what it ran on: both may explain different numbers.
_GROUPS = (
    ("Choices", ("config", "run", "mesh")),
    ("Circumstances", ("data", "git", "versions", "xla_flags", "devices", "host")),
)


def flatten(value: Json, name: str) -> dict[str, Json]:
    """Returns nested mappings as one mapping with dotted names that begin with `name`.

    A `value` that is no mapping, such as a list, is returned as {name: value}. With "" names have
    no prefix.
    """
    if not isinstance(value, dict):
        return {name: value}
    fields: dict[str, Json] = {}
    for key, inner in value.items():
        fields |= flatten(inner, f"{name}.{key}" if name else str(key))
    return fields


def differences(runs: Sequence[Run], keys: Sequence[str]) -> dict[str, list[Json]]:
    """Finds the fields in which the cards of runs differ.

    Args:
        runs: the runs.
        keys: of the parts of the cards that are compared, such as "config" and "versions".

    Returns:
        {field: its value in each run}, None where it is missing. The name of a nested field is its
        path, joined by dots; it begins with the key, except in "config".
    """
    # Fields of the config have no prefix, as on the command line.
    each = [
        {
            k: v
            for key in keys
            for k, v in flatten(run.card.get(key), "" if key == "config" else key).items()
        }
        for run in runs
    ]
    names = list(dict.fromkeys(name for fields in each for name in fields if name))
    rows = {name: [fields.get(name) for fields in each] for name in names}
    return {
        name: values
        for name, values in rows.items()
        if len({_plain(value) for value in values}) > 1
    }


def _plain(value: Json) -> str:
    return MISSING if value is None else value if isinstance(value, str) else json.dumps(value)


def differing(runs: Sequence[Run]) -> Html:
    """Draws the section on the fields of the cards in which runs differ; a note if none do."""
    head = [
        el("th", "Field", scope="col"),
        *(el("th", name(run, i), scope="col") for i, run in enumerate(runs)),
    ]
    body = []
    for title, keys in _GROUPS:
        rows = differences(runs, keys)
        if rows:
            body.append(
                el("tr", el("th", title, colspan=len(runs) + 1, scope="colgroup"), class_="group")
            )
        for field, values in rows.items():
            cells = [el("td", _plain(value), class_="code") for value in values]
            body.append(el("tr", el("th", field, scope="row", class_="code"), cells))
    table = el("table", el("thead", el("tr", head)), el("tbody", body)) if body else None
    same = el("p", "Nothing that the cards record differs.", class_="hint")
    return el(
        "section",
        el("h2", "Differences"),
        scroll(table, "Differences") if table else same,
        id="differences",
    )


def name(run: Run, position: int) -> Html:
    """Draws a run's label beside the colour of its position."""
    return el("span", el("i", class_=f"swatch k{position % 8}"), run.label, class_="whose")


def scroll(table: Html, label: str) -> Html:
    """Draws a table that scrolls where the page is too narrow, and that the keyboard can focus.

    Args:
        table: the <table> element.
        label: the table's name for screen readers.
    """
    return el("div", table, class_="scroll", tabindex="0", role="region", aria_label=label)


def columns(runs: Sequence[Run]) -> list[tuple[str, str, str | None]]:
    """Lists the columns of a comparison: each (split, metric) in the results of any run, once.

    Args:
        runs: the runs.

    Returns:
        (split, metric, better direction) of each column, the splits in the order of the first run
        (test, validation, then others), followed by those that only later runs have. The direction
        is "higher" or "lower", and None where it is unknown or runs declare different ones.
    """
    made: list[tuple[str, str, str | None]] = []
    for split in dict.fromkeys(
        split for run in runs for split in sorted(run.mapping("results"), key=_split_rank)
    ):
        for metric in dict.fromkeys(m for run in runs for m in run.mapping("results", split)):
            ways = {way for run in runs if (way := better(run, metric))}
            made.append((split, metric, ways.pop() if len(ways) == 1 else None))
    return made


def _split_rank(split: str) -> int:
    return {"test": 0, "validation": 1}.get(split, 2)


def comparison(runs: Sequence[Run]) -> Html:
    """Draws the table that compares results and cost of runs, with a row for each run."""
    results = columns(runs)
    cost: list[tuple[str, Callable[[Run], object], Callable[[object], str]]] = [
        ("train", lambda r: r.get("seconds", "train"), seconds),
        ("total", lambda r: r.get("seconds", "total"), seconds),
        ("examples/s", lambda r: r.get("examples_per_second"), number),
        ("parameters", parameters, number),
        ("peak memory", lambda r: r.get("peak_memory_bytes"), size),
        ("steps", lambda r: r.get("step"), number),
    ]
    groups: list[tuple[str, int]] = []
    for split in dict.fromkeys(column[0] for column in results):
        groups.append((split, sum(column[0] == split for column in results)))
    top = [
        el("th", "Run", rowspan=2, scope="col"),
        *(el("th", s, colspan=n, scope="colgroup") for s, n in groups),
    ]
    top.append(el("th", "cost", colspan=len(cost), scope="colgroup"))
    under = [
        el("th", title, scope="col", class_="n")
        for title in (*(column[1] for column in results), *(c[0] for c in cost))
    ]
    best = [
        _best([run.get("results", split, metric) for run in runs], way)
        for split, metric, way in results
    ]
    rows = []
    for position, run in enumerate(runs):
        cells = [el("th", name(run, position), scope="row")]
        for (split, metric, _), winner in zip(results, best, strict=True):
            value = run.get("results", split, metric)
            won = winner is not None and value == winner
            mark = el("span", " (best)", class_="unseen") if won else None
            cells.append(el("td", number(value), mark, class_="n best" if won else "n"))
        cells += [el("td", write(get(run)), class_="n") for _, get, write in cost]
        rows.append(el("tr", cells))
    table = el(
        "table", el("thead", el("tr", top), el("tr", under)), el("tbody", rows), class_="wide"
    )
    hint = (
        "The best value is underlined where the experiment declares which direction is better, or"
        " the metric is a known one."
    )
    note = el("p", hint, class_="hint") if any(value is not None for value in best) else None
    return el("section", el("h2", "Comparison"), note, scroll(table, "Comparison"), id="comparison")


def _best(values: Sequence[object], way: str | None) -> float | None:
    # value == value excludes NaN, which compares by position only.
    numbers = [value for value in values if is_number(value) and value == value]
    if way is None or len(numbers) < 2 or len(set(numbers)) == 1:
        return None
    return max(numbers) if way == "higher" else min(numbers)


def parameters(run: Run) -> int | float | None:
    """Counts the parameters of all models of a run, also of frozen ones; None: not known."""
    counts = run.numbers("parameters")
    return sum(counts.values()) if counts else None


def results(run: Run) -> Html | None:
    """Draws a run's results: a row for each metric, a column for each split; None: no results."""
    by_split = {
        split: run.mapping("results", split)
        for split in sorted(run.mapping("results"), key=_split_rank)
    }
    metrics = list(dict.fromkeys(metric for values in by_split.values() for metric in values))
    if not metrics:
        return None
    head = [
        el("th", "Metric", scope="col"),
        *(el("th", split, scope="col", class_="n") for split in by_split),
    ]
    rows = []
    for metric in metrics:
        cells = [el("td", number(values.get(metric)), class_="n") for values in by_split.values()]
        rows.append(el("tr", el("th", metric, scope="row"), cells))
    return scroll(el("table", el("thead", el("tr", head)), el("tbody", rows)), "Results")


def once(runs: Sequence[Run], charts: Sequence[Chart], splits: Sequence[str]) -> Html | None:
    """Draws the metrics that were measured once and are in no run's results on their split.

    Args:
        runs: the runs.
        charts: those that have a single step (`Chart.once`).
        splits: names of the splits, which curves refer to by position.

    Returns:
        The section, with a row for each metric and split; None where there is no such metric.
    """
    rows = []
    for chart in charts:
        for split in sorted({curve.split for curve in chart.curves}):
            if any(chart.name in run.mapping("results", splits[split]) for run in runs):
                continue
            by_run = {curve.run: curve for curve in chart.curves if curve.split == split}
            cells = [_at(by_run.get(i), len(runs) > 1) for i in range(len(runs))]
            rows.append(el("tr", el("th", chart.name, scope="row"), el("td", splits[split]), cells))
    if not rows:
        return None
    heads = [el("th", name(run, i), scope="col", class_="n") for i, run in enumerate(runs)]
    columns = (
        heads
        if len(runs) > 1
        else [el("th", title, scope="col", class_="n") for title in ("value", "step")]
    )
    head = [el("th", "Metric", scope="col"), el("th", "split", scope="col"), *columns]
    table = el("table", el("thead", el("tr", head)), el("tbody", rows))
    return el("section", el("h2", "Measured once"), scroll(table, "Measured once"), id="once")


def _at(curve: Curve | None, several: bool) -> Html | list[Html]:
    """The cells of a value and its step; one cell in a comparison of several runs."""
    if curve is None:
        return el("td", MISSING, class_="n")
    value, step = number(float(curve.values[0])), number(int(curve.steps[0]))
    if several:
        return el("td", value, el("span", f" at step {step}", class_="hint"), class_="n")
    return [el("td", value, class_="n"), el("td", step, class_="n")]
