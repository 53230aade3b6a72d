"""The head of the report: what ran, its status, its result and the published one, and its cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dlcore.metrics.known import best_baseline
from dlcore.report import compare, curves
from dlcore.report.markup import (
    MISSING,
    Html,
    el,
    is_number,
    join,
    moment,
    number,
    seconds,
    signed,
    size,
)
from dlcore.report.runs import Run

_STATUS = {
    "running": "\N{BLACK CIRCLE}",
    "done": "\N{CHECK MARK}",
    "stopped": "\N{BLACK SQUARE}",
    "failed": "\N{MULTIPLICATION X}",
}


def badge(run: Run) -> Html:
    """Draws a run's status as colour, sign and word."""
    status = str(run.get("status") or "unknown")
    kind = status if status in _STATUS else "unknown"
    return el(
        "span",
        el("span", _STATUS.get(status, "?"), aria_hidden="true"),
        " ",
        status,
        class_=f"badge {kind}",
    )


def one(run: Run) -> Html:
    """Draws the top of a report on one run: status, provenance, main result, error, cost."""
    about = run.get("about")
    words = el(
        "div",
        el("p", run.label, class_="eyebrow"),
        el("h1", run.get("experiment") or run.label, " ", badge(run)),
        el("p", about, class_="about") if about else None,
        _provenance(run),
    )
    return join([el("header", words, _headline(run), class_="head"), _error(run), _tiles(run)])


def several(runs: Sequence[Run]) -> Html:
    """Draws the top of a report that compares runs.

    Returns:
        The names of the experiments, their description where all have the same, and a list of the
        runs in the given order, each with status, provenance, main result, and error if any.
    """
    entries = []
    for position, run in enumerate(runs):
        line = el("p", compare.name(run, position), " ", badge(run))
        entries.append(el("li", line, _provenance(run), _headline(run), _error(run)))
    experiments = list(dict.fromkeys(str(run.get("experiment") or "?") for run in runs))
    names = ", ".join(experiments[:6]) + (
        f" and {len(experiments) - 6} more" if len(experiments) > 6 else ""
    )
    about = {str(run.get("about")) for run in runs} - {"None"}
    text = el("p", about.pop(), class_="about") if len(about) == 1 else None
    head = el("div", el("p", "Comparison", class_="eyebrow"), el("h1", names), text)
    return join([el("header", head, class_="head"), el("ul", entries, class_="runs")])


def _error(run: Run) -> Html | None:
    error = run.get("error")
    word = "The run was stopped." if run.get("status") == "stopped" else "The run failed."
    return (
        el("div", el("strong", word), el("pre", error), class_="error", role="alert")
        if error
        else None
    )


def _provenance(run: Run) -> Html:
    """The origin of the numbers: start, commit, step, seed, devices and versions."""
    commit, clean = run.get("git", "commit"), run.get("git", "clean")
    state = (
        "clean tree"
        if clean is True
        else "uncommitted changes"
        if clean is False
        else "tree not known"
    )
    kind = run.get("devices", "kind") or run.get("devices", "platform")
    facts: list[object] = [
        f"started {moment(run.get('started'))}" if run.get("started") else None,
        (
            join(["commit ", el("code", str(commit)[:10]), f" ({state})"])
            if commit
            else "commit not recorded"
        ),
        (
            f"results of step {run.get('best', 'step')}, the best by {run.get('best', 'metric')}"
            if run.get("best", "step")
            else None
        ),
        f"seed {run.get('run', 'seed')}" if run.get("run", "seed") is not None else None,
        f"{number(run.get('devices', 'count'))} \N{MULTIPLICATION SIGN} {kind}" if kind else None,
        f"JAX {run.get('versions', 'jax')}" if run.get("versions", "jax") else None,
    ]
    return el("ul", [el("li", fact) for fact in facts if fact is not None], class_="facts")


def _headline(run: Run) -> Html | None:
    """The main result, the published one, and their difference."""
    metric, published = str(run.get("published", "metric")), run.get("published", "value")
    named, _, main = run.headline.partition("/")
    if published is None and main in run.numbers("results", named):
        return el("div", _result(run, main, named), class_="headline")
    of_split = str(run.get("published", "split") or "test")
    scored = [
        s
        for s in (of_split, "test", "validation", *run.mapping("results"))
        if run.numbers("results", s) and s != "train"
    ]
    split = next((s for s in scored if metric in run.numbers("results", s)), None)
    if split is None and scored:
        split = scored[0]
        values = run.numbers("results", split)
        metric = next(
            (name for name in values if curves.better(run, name) == "higher"), next(iter(values))
        )
        published = None
    if split is None:
        if not is_number(published):
            return None
        return el(
            "div",
            el("p", f"published {metric}"),
            el("p", number(published), class_="big"),
            class_="headline",
        )
    ours = run.numbers("results", split)[metric]
    parts: list[object] = _result(run, metric, split)
    if is_number(published):
        notes = [run.get("published", each) for each in ("source", "caveat")]
        source = el("span", "; ".join(str(each) for each in notes if each), class_="source")
        if split == of_split:
            parts.append(_difference(ours, published, run.get("published", "better")))
        where = "" if split == of_split else f" on {of_split}"
        parts.append(el("p", f"published {number(published)}{where}", source, class_="published"))
    if is_number(published) and (run.get("config", "offline") or run.get("run", "offline")):
        names = ", ".join(
            dict.fromkeys(str(run.get("data", s, "name") or "unnamed") for s in run.mapping("data"))
        )
        note = (
            f"Trained offline on embedded data ({names}); the published number may be for other"
            " data."
        )
        parts.append(el("p", note, class_="caution"))
    return el("div", parts, class_="headline")


def _result(run: Run, metric: str, split: str) -> list[object]:
    """The metric's name, its value, and the best of its baselines, if there is one."""
    values = run.numbers("results", split)
    best = best_baseline(metric, values, run.mapping("metrics"))
    return [
        el("p", f"{metric} on {split}", class_="what"),
        el("p", number(values[metric]), class_="big"),
        (
            el("p", f"baseline {number(values[best])} ({best})", class_="published")
            if best
            else None
        ),
    ]


def _difference(ours: float, published: float, way: object) -> Html | None:
    delta = ours - published
    if not math.isfinite(delta):
        return None
    if delta == 0:
        return el("p", "equal to the published number", class_="delta")
    if way not in ("higher", "lower"):
        return el("p", f"{signed(delta)} against published", class_="delta")
    good = (delta > 0) == (way == "higher")
    arrow = "\N{BLACK UP-POINTING TRIANGLE}" if delta > 0 else "\N{BLACK DOWN-POINTING TRIANGLE}"
    sign = el("span", arrow, aria_hidden="true")
    words = f" {signed(delta)}, {'better' if good else 'worse'} than published"
    return el("p", sign, words, class_=f"delta {'good' if good else 'bad'}")


def _tiles(run: Run) -> Html:
    """The cost of the run in a few numbers."""
    took = run.mapping("seconds")
    seconds_by_phase = ", ".join(
        f"{name} {seconds(took[name])}"
        for name in ("compile", "train", "eval")
        if is_number(took.get(name))
    )
    counts = run.numbers("parameters")
    owners = (
        ", ".join(f"{name} {number(count)}" for name, count in counts.items())
        if len(counts) > 1
        else ""
    )
    steps, early = number(run.get("step")), ", stopped early" if run.get("stopped_early") else ""
    tiles = [
        (
            "steps",
            steps,
            f"of {number(run.get('steps'))}{early}" if run.get("steps") is not None else "",
        ),
        ("time", seconds(took.get("total")), seconds_by_phase),
        ("examples/s", number(run.get("examples_per_second")), ""),
        ("parameters", number(compare.parameters(run)), owners),
        ("peak memory", size(run.get("peak_memory_bytes")), ""),
        (
            "precision",
            str(run.get("run", "precision") or MISSING),
            str(run.get("run", "parallel") or ""),
        ),
    ]
    boxes = [
        el("div", el("dt", n), el("dd", v), el("dd", hint, class_="hint") if hint else None)
        for n, v, hint in tiles
    ]
    return el("dl", boxes, class_="tiles")
