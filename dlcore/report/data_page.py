"""The page about a user's own data: one self-contained HTML file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from dlcore import files
from dlcore.errors import UsageError
from dlcore.report.markup import Html, el, join
from dlcore.report.page import document
from dlcore.report.parts import draw
from dlcore.runs import sample_files
from dlcore.samples import Sample


def write(
    path: Path,
    title: str,
    lines: Sequence[str],
    problems: Sequence[str],
    samples: Sequence[Sample],
) -> None:
    """Writes the HTML page about a user's data, atomically.

    Args:
        path: the file.
        title: of the page.
        lines: paragraphs below the title.
        problems: are listed above the samples.
        samples: are shown in their order, as in the report of a run.

    Raises:
        UsageError: the file cannot be written.
    """
    page = document(title, _body(title, lines, problems, samples))
    try:
        files.write_to(path, page)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; name another file") from error


def _body(
    title: str, lines: Sequence[str], problems: Sequence[str], samples: Sequence[Sample]
) -> Html:
    head = el(
        "header", el("div", el("h1", title), [el("p", line) for line in lines]), class_="head"
    )
    faults = None
    if problems:
        listed = el("ul", [el("li", problem) for problem in problems])
        heading = el("h2", f"{len(problems):,} {'problem' if len(problems) == 1 else 'problems'}")
        faults = el("aside", heading, listed, class_="notes", aria_label="Problems")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "samples"
        sample_files.save(folder, samples)
        shown = [
            el(
                "article",
                el("h3", sample["title"]),
                [draw(folder, part, sample["title"]) for part in sample["parts"]],
                class_="sample",
            )
            for sample in sample_files.load(folder)
        ]
    foot = el("footer", "Written by ", el("code", "dlcore data"), ". This page loads nothing.")
    return join([el("main", head, faults, el("section", shown)), foot])
