"""The samples of runs: a row for each title, a column for each run."""

from __future__ import annotations

from collections.abc import Sequence

from dlcore.report.markup import Html, el
from dlcore.report.parts import draw
from dlcore.report.runs import Run
from dlcore.runs.sample_files import Entry


def gallery(runs: Sequence[Run]) -> Html | None:
    """Draws the section of samples; None where no run has any.

    Samples of several runs with the same title and kinds of parts share a row; where a run has
    several such samples, the first ones share a row, the second ones the next, and so on.
    """
    rows: dict[tuple[object, ...], list[tuple[Run, int, Entry]]] = {}
    for position, run in enumerate(runs):
        counts: dict[tuple[object, ...], int] = {}
        for sample in run.samples:
            forms = dict.fromkeys(part["part"] for part in sample["parts"])
            key = (sample["title"], *forms)
            counts[key] = counts.get(key, 0) + 1
            rows.setdefault((counts[key], *key), []).append((run, position, sample))
    if not rows:
        return None
    blocks, compared = [], len(runs) > 1
    for (_, title, *_), entries in rows.items():
        figures = [_figure(run, position, sample, compared) for run, position, sample in entries]
        body = el("div", figures, class_="side" if compared else None)
        blocks.append(el("article", el("h3", title), body, class_="sample"))
    return el("section", el("h2", "Samples"), blocks, id="samples")


def _figure(run: Run, position: int, sample: Entry, named: bool) -> Html:
    """The parts of one run's sample, below the run's name where several runs are compared."""
    swatch = el("i", class_=f"swatch k{position % 8}")
    head = el("p", swatch, run.label, class_="whose") if named else None
    bodies = [draw(run.path / "samples", part, sample["title"]) for part in sample["parts"]]
    if len(bodies) > 1:
        bodies = [el("div", body, class_="part") for body in bodies]
    return el("div", head, bodies)
