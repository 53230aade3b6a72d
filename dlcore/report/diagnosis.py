"""The section on training problems: overfitting, and gradients, updates and dead units."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from dlcore.analysis.diagnosis_summary import (
    FILE,
    GENERAL,
    HEALTHY,
    Row,
    describe,
    overfitting,
    read,
)
from dlcore.report import compare
from dlcore.report.markup import Html, el, number
from dlcore.report.runs import Run

_WIDTH, _HEIGHT = 150, 9


def diagnosis(runs: Sequence[Run]) -> Html | None:
    """Draws the section on overfitting and diagnostics, with a table of tensors for a single run.

    Returns:
        The section; None where no run has diagnostics or enough evaluations.
    """
    parts: list[Html] = []
    for position, run in enumerate(runs):
        found, damaged = read(run.path / FILE)
        whose = el("h3", compare.name(run, position)) if len(runs) > 1 else None
        summary = _generalisation(run)
        if summary:
            parts.append(el("article", whose, summary))
        if damaged:
            parts.append(
                el(
                    "p",
                    f"{FILE}: damaged and left out: {damaged} line{'s' if damaged > 1 else ''}.",
                    class_="note",
                )
            )
        for name, steps in found.items():
            called = el("h3", name) if len(found) > 1 else None
            table = _table(steps) if len(runs) == 1 else None
            parts.append(
                el("article", None if summary else whose, called, _sentences(steps), table)
            )
    if not parts:
        return None
    hint = (
        "Overfitting is read from the losses of training and validation; the rest from what one"
        " batch would do at an evaluation: a gradient for every tensor, and the optimizer's update"
        " that follows from it."
    )
    return el("section", el("h2", "Diagnosis"), el("p", hint, class_="hint"), parts, id="diagnosis")


def _generalisation(run: Run) -> Html | None:
    """What training and validation losses show; None for several objectives."""
    objectives = {
        name.split("/", 1)[0] for split, name in run.series if split == "train" and "/" in name
    }
    train = run.series.get(("train", f"{min(objectives)}/loss" if objectives else "loss"))
    validation = run.series.get(("validation", "loss"))
    if len(objectives) > 1 or train is None or validation is None:
        return None
    summary = overfitting(
        *((steps.tolist(), values.tolist()) for steps, values in (train, validation))
    )
    if summary is None:
        return None
    return el(
        "div", el("p", summary, class_=None if summary == GENERAL else "wrong"), class_="diagnosis"
    )


def _sentences(steps: Mapping[int, Sequence[Row]]) -> Html:
    """The summary of the last evaluation, and the first earlier one that found another problem."""
    summary = {step: describe(rows) for step, rows in steps.items()}
    last = max(summary)
    now = el(
        "p",
        el("strong", f"Step {last:,}: "),
        summary[last],
        class_=None if summary[last] == HEALTHY else "wrong",
    )
    # The same problem with other numbers is not repeated.
    known = {re.sub(r"[\d.,]+", "", words) for words in (HEALTHY, summary[last])}
    before = next(
        (step for step, words in summary.items() if re.sub(r"[\d.,]+", "", words) not in known),
        None,
    )
    early = (
        el("p", f"Earlier, at step {before:,}: {summary[before]}", class_="hint")
        if before is not None
        else None
    )
    return el("div", now, early, class_="diagnosis")


def _table(steps: Mapping[int, Sequence[Row]]) -> Html:
    """The table of kernels, with bars; biases and scales are folded."""
    rows = steps[max(steps)]
    largest: dict[str, float] = {}
    for row in (row for at in steps.values() for row in at):
        if row.ratio > largest.get(row.name, 0):
            largest[row.name] = row.ratio
    kernels, others = [row for row in rows if row.units], [row for row in rows if not row.units]
    low, high = _decades([row.grad for row in rows])
    shown = _rows(kernels or others, largest, low, high)
    rest = _rows(others, largest, low, high) if kernels and others else None
    folded = (
        el("details", el("summary", f"{len(others)} biases and scales"), rest) if rest else None
    )
    return el("div", shown, folded)


def _rows(rows: Sequence[Row], largest: Mapping[str, float], low: int, high: int) -> Html:
    summary = f"gradient, bars from 1e{low} to 1e{high}"
    heads = ("tensor", summary, "", "weights", "update / weights", "largest so far", "dead units")
    head = [
        el("th", title, scope="col", class_="n" if i > 1 else None) for i, title in enumerate(heads)
    ]
    body = []
    for row in rows:
        dead = f"{row.dead:,} of {row.units:,}" if row.units else ""
        cells = [row.grad, row.weight, row.ratio, largest.get(row.name, math.nan)]
        texts = [el("td", number(value), class_="n") for value in cells]
        body.append(
            el(
                "tr",
                el("th", row.name, scope="row", class_="code"),
                el("td", _bar(row.grad, low, high)),
                texts,
                el("td", dead, class_="n"),
            )
        )
    return compare.scroll(
        el("table", el("thead", el("tr", head)), el("tbody", body), class_="tensors"), "Gradients"
    )


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """The powers of ten around all values that can be drawn, at least two apart."""
    logs = [math.log10(value) for value in values if math.isfinite(value) and value > 0]
    low, high = (math.floor(min(logs)), math.ceil(max(logs))) if logs else (-1, 1)
    return min(low, high - 2), high


def _bar(value: float, low: int, high: int) -> Html | None:
    """A gradient's size on a logarithmic scale; None for zero and values that are not finite."""
    if not math.isfinite(value) or value <= 0:
        return None
    length = max((math.log10(value) - low) / (high - low) * _WIDTH, 1.0)
    ruled = "".join(
        f"M{(power - low) / (high - low) * _WIDTH:.1f} 0v{_HEIGHT}"
        for power in range(low, high + 1)
    )
    rule, bar = (
        el("path", class_="rule", d=ruled),
        el("path", class_="measure", d=f"M0 0h{length:.1f}v{_HEIGHT}h-{length:.1f}z"),
    )
    return el("svg", rule, bar, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", aria_hidden="true")
