"""The page that a person looks at: one HTML file without a single outside reference, from one run or several."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from dlcore.report import compare, curves
from dlcore.report.command import reproduce
from dlcore.report.drawing import look, svg
from dlcore.report.gallery import gallery
from dlcore.report.markup import MISSING, Html, el, is_number, join, json_block, moment, number, seconds, signed, size
from dlcore.report.runs import Run, read_all

_STATUS = {"running": "\N{BLACK CIRCLE}", "done": "\N{CHECK MARK}", "stopped": "\N{BLACK SQUARE}", "failed": "\N{MULTIPLICATION X}"}


def write(runs: Sequence[Path], out: Path | None = None) -> Path:
    """Writes the page whole or not at all and returns where: into the run, or into the folder that all the runs share."""
    page = render(runs)
    if out is None:
        folders = list(dict.fromkeys(Path(run).resolve() for run in runs))
        home = folders[0] if len(folders) == 1 else Path(os.path.commonpath([folder.parent for folder in folders]))
        out = home / "report.html"
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        fresh.write_text(page, encoding="utf-8", newline="\n")
        fresh.replace(out)
    finally:
        fresh.unlink(missing_ok=True)
    return out


def render(runs: Sequence[Path]) -> str:
    """The page as text."""
    read = read_all(runs)
    drawn = curves.charts(read)
    title = f"{read[0].get('experiment') or read[0].label} \N{MIDDLE DOT} {read[0].label}" if len(read) == 1 else f"{len(read)} runs"
    top = _one(read[0]) if len(read) == 1 else _several(read)
    sections = [
        compare.comparison(read) if len(read) > 1 else None,
        compare.differing(read) if len(read) > 1 else None,
        _curves(read, drawn),
        _results(read[0]) if len(read) == 1 else None,
        gallery(read),
        el("section", el("h2", "Card" if len(read) == 1 else "Cards"), [_card(run, len(read) == 1) for run in read], id="card"),
    ]
    present = [section for section in sections if section is not None]
    foot = el("footer", "Written by ", el("code", "dlcore report"), ". This page is one file and loads nothing.")
    body = el("main", top, _notes(read), present)
    return _document(title, join([body, foot, json_block(curves.payload(read, drawn), "curves-data")]))


def _document(title: str, body: Html) -> str:
    """The document around the body; its policy lets a browser run the page's own script and style, and nothing else."""
    script, style = (resources.files("dlcore.report").joinpath(name).read_text("utf-8") for name in ("charts.js", "page.css"))
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, style)]
    policy = f"default-src 'none'; img-src data:; script-src 'sha256-{digests[0]}'; style-src 'sha256-{digests[1]}'; base-uri 'none'; form-action 'none'"
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("meta", name="referrer", content="no-referrer"),
        el("title", title),
        el("link", rel="icon", href="data:,"),
        el("style", Html(style)),
    )
    return f"<!doctype html>\n{el('html', head, el('body', body, el('script', Html(script))), lang='en')}\n"


def badge(run: Run) -> Html:
    """A run's status, told by colour, sign and word."""
    status = str(run.get("status") or "unknown")
    kind = status if status in _STATUS else "unknown"
    return el("span", el("span", _STATUS.get(status, "?"), aria_hidden="true"), " ", status, class_=f"badge {kind}")


def _one(run: Run) -> Html:
    """The head of a page about one run."""
    about = run.get("about")
    words = el("div", el("p", run.label, class_="eyebrow"), el("h1", run.get("experiment") or run.label, " ", badge(run)),
               el("p", about, class_="about") if about else None, _provenance(run))  # fmt: skip
    return join([el("header", words, _headline(run), class_="head"), _error(run), _tiles(run)])


def _several(runs: Sequence[Run]) -> Html:
    """The head of a page that compares runs."""
    entries = []
    for position, run in enumerate(runs):
        line = el("p", compare.name(run, position), " ", badge(run))
        entries.append(el("li", line, _provenance(run), _headline(run), _error(run)))
    experiments = list(dict.fromkeys(str(run.get("experiment") or "?") for run in runs))
    names = ", ".join(experiments[:6]) + (f" and {len(experiments) - 6} more" if len(experiments) > 6 else "")
    about = {str(run.get("about")) for run in runs} - {"None"}
    text = el("p", about.pop(), class_="about") if len(about) == 1 else None
    head = el("div", el("p", "Comparison", class_="eyebrow"), el("h1", names), text)
    return join([el("header", head, class_="head"), el("ul", entries, class_="runs")])


def _error(run: Run) -> Html | None:
    error = run.get("error")
    return el("div", el("strong", "The run failed."), el("pre", error), class_="error", role="alert") if error else None


def _provenance(run: Run) -> Html:
    """One line on where the numbers come from."""
    commit, clean = run.get("git", "commit"), run.get("git", "clean")
    state = {True: "clean tree", False: "uncommitted changes", None: "tree not known"}[clean if isinstance(clean, bool) else None]
    devices = f"{number(run.get('devices', 'count'))} \N{MULTIPLICATION SIGN} {run.get('devices', 'kind') or run.get('devices', 'platform')}"
    facts: list[object] = [
        f"started {moment(run.get('started'))}" if run.get("started") else None,
        join(["commit ", el("code", str(commit)[:10]), f" ({state})"]) if commit else "commit not recorded",
        f"seed {run.get('run', 'seed')}" if run.get("run", "seed") is not None else None,
        devices if run.get("devices") else None,
        f"JAX {run.get('versions', 'jax')}" if run.get("versions", "jax") else None,
    ]
    return el("ul", [el("li", fact) for fact in facts if fact is not None], class_="facts")


def _headline(run: Run) -> Html | None:
    """The number that the run is about, beside the published one and their difference."""
    metric, published = run.get("published", "metric"), run.get("published", "value")
    scored = [s for s in ("test", "validation", *run.mapping("results")) if run.numbers("results", s) and s != "train"]
    split = next((s for s in scored if metric in run.numbers("results", s)), None)
    if split is None and scored:
        split = scored[0]
        values = run.numbers("results", split)
        metric = next((name for name in values if curves.better(name) == "higher"), next(iter(values)))
        published = None
    if split is None:
        if not is_number(published):
            return None
        return el("div", el("p", f"published {metric}"), el("p", number(published), class_="big"), class_="headline")
    ours = run.numbers("results", split)[metric]
    parts: list[object] = [el("p", f"{metric} on {split}", class_="what"), el("p", number(ours), class_="big")]
    if is_number(published):
        parts += [_difference(ours, published, run.get("published", "better"))]
        parts += [el("p", f"published {number(published)}", el("span", run.get("published", "source") or "", class_="source"), class_="published")]
        if run.get("run", "offline"):
            names = ", ".join(dict.fromkeys(str(run.get("data", s, "name") or "unnamed") for s in run.mapping("data")))
            parts.append(el("p", f"Trained offline on embedded data ({names}): the published number may be for other data.", class_="caution"))
    return el("div", parts, class_="headline")


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
    return el("p", sign, f" {signed(delta)} {'better' if good else 'worse'} than published", class_=f"delta {'good' if good else 'bad'}")


def _tiles(run: Run) -> Html:
    """What the run cost, at a glance."""
    took = run.mapping("seconds")
    spent = ", ".join(f"{name} {seconds(took[name])}" for name in ("compile", "train", "eval") if is_number(took.get(name)))
    counts = run.numbers("parameters")
    owners = ", ".join(f"{name} {number(count)}" for name, count in counts.items()) if len(counts) > 1 else ""
    steps = number(run.get("step"))
    tiles = [
        ("steps", steps, f"of {number(run.get('steps'))}" if run.get("steps") is not None else ""),
        ("time", seconds(took.get("total")), spent),
        ("examples per second", number(run.get("examples_per_second")), ""),
        ("parameters", number(compare.parameters(run)), owners),
        ("peak memory", size(run.get("peak_memory_bytes")), ""),
        ("precision", str(run.get("run", "precision") or MISSING), str(run.get("run", "parallel") or "")),
    ]
    return el("dl", [el("div", el("dt", n), el("dd", v), el("dd", h, class_="hint") if h else None) for n, v, h in tiles], class_="tiles")


def _notes(runs: Sequence[Run]) -> Html | None:
    notes = [el("li", el("strong", f"{run.label}: ") if len(runs) > 1 else None, note) for run in runs for note in run.notes]
    return el("aside", el("ul", notes), class_="notes", aria_label="Notes") if notes else None


def _curves(runs: Sequence[Run], drawn: Sequence[curves.Chart]) -> Html | None:
    if not drawn:
        return None
    names = curves.splits(runs)
    keys = [el("li", el("i", class_=f"swatch k{i % 8}"), run.label, data_run=str(i)) for i, run in enumerate(runs) if len(runs) > 1]
    for i, split in enumerate(names):
        line = el("svg", el("path", class_=f"line d{min(i, 3)} k{i % 8 if len(runs) == 1 else 'n'}", d="M1 5H25"), viewBox="0 0 26 10", aria_hidden="true")
        keys.append(el("li", line, split, data_split=str(i)))
    bar = el("div", el("ul", keys, class_="keys"), class_="bar", id="bar")
    figures = [
        el("figure", el("figcaption", el("h3", chart.name), _gone(chart)), svg(chart, len(runs)), data_chart=str(i), class_="chart")
        for i, chart in enumerate(drawn)
    ]
    return el("section", el("h2", "Curves"), bar, el("div", figures, class_="charts"), id="curves")


def _gone(chart: curves.Chart) -> Html | None:
    """How many values were not finite, and where that began."""
    first = [int(curve.steps[curve.gaps][0]) for curve in chart.curves if curve.gaps.any()]
    if not first:
        return None
    count = sum(int(curve.gaps.sum()) for curve in chart.curves)
    return el("p", f"{count:,} {'value is' if count == 1 else 'values are'} not finite, from step {min(first):,}", class_="caution")


def _results(run: Run) -> Html | None:
    table = compare.results(run)
    return el("section", el("h2", "Results"), table, id="results") if table else None


def _card(run: Run, alone: bool) -> Html:
    """The card: how to train the run again, its data, and the whole of it as JSON."""
    command = reproduce(run)
    again = el("div", el("pre", el("code", command)), class_="copy") if command else None
    whole = el("details", el("summary", "card.json"), el("div", el("pre", json.dumps(run.card, indent=2, ensure_ascii=False)), class_="copy"))
    return el("article", None if alone else el("h3", run.label), el("h4", "Train it again") if again else None, again, _data(run), whole)


def _data(run: Run) -> Html | None:
    rows = []
    for split, entry in run.mapping("data").items():
        if isinstance(entry, dict):
            cells = [el("td", entry.get("name") or MISSING), el("td", entry.get("version") or MISSING), el("td", entry.get("split") or MISSING)]
            cells += [el("td", number(entry.get("examples")), class_="n"), el("td", str(entry.get("fingerprint") or MISSING)[:16], class_="code")]
            rows.append(el("tr", el("th", split, scope="row"), cells))
    if not rows:
        return None
    heads = [el("th", name, scope="col", class_="n" if name == "examples" else None) for name in ("", "name", "version", "split", "examples", "fingerprint")]
    return join([el("h4", "Data"), compare.scroll(el("table", el("thead", el("tr", heads)), el("tbody", rows)), "Data")])
