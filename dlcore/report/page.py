"""The HTML report: one self-contained file on one run or several."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from dlcore import files
from dlcore.errors import UsageError
from dlcore.report import compare, curves
from dlcore.report.command import reproduce
from dlcore.report.diagnosis import diagnosis
from dlcore.report.drawing import svg
from dlcore.report.gallery import gallery
from dlcore.report.head import one, several
from dlcore.report.markup import MISSING, Html, el, join, json_block, number
from dlcore.report.runs import Run, read_all

RECORDS = (
    "card.json",
    "metrics.jsonl",
    "diagnostics.jsonl",
    "experiment.py",
    "tracked.json",
    "lock",
)
_ASSETS = ("tools.js", "charts.js", "page.css")


def write(runs: Sequence[Path], out: str | Path | None = None) -> Path:
    """Writes the report atomically; returns its path.

    Args:
        runs: the folders of the runs.
        out: a file, or a folder for report.html, see `target`; by default report.html in the run,
            or for several runs in the deepest folder that contains all of them.

    Raises:
        UsageError: the report cannot be written there; or as `target` and `runs.read_all`.
    """
    path = None if out is None else target(out)
    page = render(runs)
    try:
        if path is None:
            folders = list(dict.fromkeys(Path(run).resolve() for run in runs))
            home = (
                folders[0]
                if len(folders) == 1
                else Path(os.path.commonpath([folder.parent for folder in folders]))
            )
            path = home / "report.html"
            files.write(path, page)
        else:
            files.write_to(path, page)
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}; free disk space, or name another --out for it"
        ) from error
    return path


def target(out: str | Path) -> Path:
    """Returns the file that `--out` names; report.html where it names a folder.

    Raises:
        UsageError: `out` is empty, or names one of `RECORDS` in a run's folder.
    """
    if not str(out).strip():
        raise UsageError("--out is empty: name a file for the report, such as --out report.html")
    path = (
        Path(out) / "report.html" if os.path.isdir(out) or str(out).endswith(os.sep) else Path(out)
    )
    if os.path.exists(path.parent / "card.json") and path.name in RECORDS:
        raise UsageError(
            f"--out {path} is a file of a run, and would be lost: name another file for the report"
        )
    return path


def render(runs: Sequence[Path]) -> str:
    """Returns the report on runs as an HTML document.

    Raises:
        UsageError: as `runs.read_all`, such as for a folder that is no run.
    """
    read = read_all(runs)
    measured = curves.charts(read)
    drawn, once = (
        [chart for chart in measured if not chart.once],
        [chart for chart in measured if chart.once],
    )
    first, alone = read[0], len(read) == 1
    title = (
        f"{first.get('experiment') or first.label} \N{MIDDLE DOT} {first.label}"
        if alone
        else f"{len(read)} runs"
    )
    top = one(first) if alone else several(read)
    sections = [
        None if alone else compare.comparison(read),
        None if alone else compare.differing(read),
        _curves(read, drawn),
        compare.once(read, once, curves.splits(read)),
        diagnosis(read),
        _results(first) if alone else None,
        gallery(read),
        el(
            "section",
            el("h2", "Card" if alone else "Cards"),
            [_card(run, alone) for run in read],
            id="card",
        ),
    ]
    present = [section for section in sections if section is not None]
    foot = el(
        "footer",
        "Written by ",
        el("code", "dlcore report"),
        ". This page is one file and loads nothing.",
    )
    body = el("main", top, _notes(read), present)
    return document(
        title, join([body, foot, json_block(curves.payload(read, drawn), "curves-data")])
    )


def document(title: str, body: Html) -> str:
    """Returns an HTML document whose policy allows only its own script and style, and data: media.

    `title` is plain text. `body` is the content of <body>, to which the page's script is added.
    """
    tools, charts, style = (
        resources.files("dlcore.report").joinpath(name).read_text("utf-8") for name in _ASSETS
    )
    script = tools + charts
    digests = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (script, style)
    ]
    own = f"script-src 'sha256-{digests[0]}'; style-src 'sha256-{digests[1]}'"
    policy = (
        f"default-src 'none'; img-src data:; media-src data:; {own}; base-uri 'none'; form-action"
        " 'none'"
    )
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
    return (
        "<!doctype"
        f" html>\n{el('html', head, el('body', body, el('script', Html(script))), lang='en')}\n"
    )


def _notes(runs: Sequence[Run]) -> Html | None:
    notes = [
        el("li", el("strong", f"{run.label}: ") if len(runs) > 1 else None, note)
        for run in runs
        for note in run.notes
    ]
    return el("aside", el("ul", notes), class_="notes", aria_label="Notes") if notes else None


def _curves(runs: Sequence[Run], drawn: Sequence[curves.Chart]) -> Html | None:
    if not drawn:
        return None
    names = curves.splits(runs)
    alone = len(runs) == 1
    keys = (
        []
        if alone
        else [el("li", compare.name(run, i), data_run=str(i)) for i, run in enumerate(runs)]
    )
    present = {curve.split for chart in drawn for curve in chart.curves}
    for i, split in ((i, split) for i, split in enumerate(names) if i in present):
        stroke = el("path", class_=f"line d{min(i, 3)} k{i % 8 if alone else 'n'}", d="M1 5H25")
        keys.append(
            el(
                "li",
                el("svg", stroke, viewBox="0 0 26 10", aria_hidden="true"),
                split,
                data_split=str(i),
            )
        )
    bar = el("div", el("ul", keys, class_="keys"), class_="bar", id="bar")
    figures = []
    for i, chart in enumerate(drawn):
        caption = el("figcaption", el("h3", chart.name), _gone(chart))
        figures.append(
            el("figure", caption, svg(chart, len(runs)), data_chart=str(i), class_="chart")
        )
    return el("section", el("h2", "Curves"), bar, el("div", figures, class_="charts"), id="curves")


def _gone(chart: curves.Chart) -> Html | None:
    """The number of values that were not finite, and the first such step."""
    first = [int(curve.steps[curve.gaps][0]) for curve in chart.curves if curve.gaps.any()]
    if not first:
        return None
    count = sum(int(curve.gaps.sum()) for curve in chart.curves)
    words = "value is" if count == 1 else "values are"
    return el("p", f"{count:,} {words} not finite, from step {min(first):,}", class_="caution")


def _results(run: Run) -> Html | None:
    table = compare.results(run)
    return el("section", el("h2", "Results"), table, id="results") if table else None


def _card(run: Run, alone: bool) -> Html:
    """The card: the command to train again, the data, and the card as JSON."""
    command = reproduce(run)
    again = (
        [el("h4", "Train it again"), el("div", el("pre", el("code", command)), class_="copy")]
        if command
        else None
    )
    text = json.dumps(run.card, indent=2, ensure_ascii=False)
    whole = el("details", el("summary", "card.json"), el("div", el("pre", text), class_="copy"))
    return el("article", None if alone else el("h3", run.label), again, _data(run), whole)


def _data(run: Run) -> Html | None:
    rows = []
    for split, entry in run.mapping("data").items():
        if isinstance(entry, dict):
            words = [el("td", entry.get(key) or MISSING) for key in ("name", "version", "split")]
            examples = el("td", number(entry.get("examples")), class_="n")
            # Sixteen characters are unique enough; the card below has all of them.
            fingerprint = el("td", str(entry.get("fingerprint") or MISSING)[:16], class_="code")
            rows.append(el("tr", el("th", split, scope="row"), words, examples, fingerprint))
    if not rows:
        return None
    names = ("used as", "name", "version", "split", "examples", "fingerprint")
    heads = [
        el("th", name, scope="col", class_="n" if name == "examples" else None) for name in names
    ]
    table = el("table", el("thead", el("tr", heads)), el("tbody", rows))
    return join([el("h4", "Data"), compare.scroll(table, "Data")])
