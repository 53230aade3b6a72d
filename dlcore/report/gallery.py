"""Samples as a person sees them: grids of images, texts, tables and plots; those of several runs side by side."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from dlcore.report.markup import Html, el, is_number, number
from dlcore.report.plots import plot
from dlcore.report.runs import Run
from dlcore.runs import sample_files

MOST = 400  # images of one grid: what the eye can take in, and a browser too


def gallery(runs: Sequence[Run]) -> Html | None:
    """The section of samples; a row for every title, and in it a place for every run."""
    rows: dict[tuple[str, str, int], list[tuple[Run, int, dict[str, Any]]]] = {}
    for position, run in enumerate(runs):
        seen: dict[tuple[str, str], int] = {}
        for entry in run.samples:
            key = (entry["title"], entry["kind"])
            seen[key] = seen.get(key, 0) + 1
            rows.setdefault((*key, seen[key]), []).append((run, position, entry))
    if not rows:
        return None
    blocks, several = [], len(runs) > 1
    for (title, _, _), entries in rows.items():
        figures = [_figure(run, position, entry, several) for run, position, entry in entries]
        blocks.append(el("article", el("h3", title), el("div", figures, class_="side" if several else None), class_="sample"))
    return el("section", el("h2", "Samples"), blocks, id="samples")


def _figure(run: Run, position: int, entry: dict[str, Any], named: bool) -> Html:
    head = el("p", el("i", class_=f"swatch k{position % 8}"), run.label, class_="whose") if named else None
    try:
        body = {"images": _images, "text": _text, "table": _table, "plot": _plot}[entry["kind"]](run, entry)
    except ValueError as error:
        body = el("p", str(error), class_="note")
    return el("div", head, body)


def _images(run: Run, entry: dict[str, Any]) -> Html:
    images = entry["images"]
    cells = [_image(run, image, entry["title"], position) for position, image in enumerate(images[:MOST])]
    words = []
    marks = [image["right"] for image in images if "right" in image]
    if marks:
        words.append(f"{sum(marks):,} of {len(marks):,} right")
    if len(images) > MOST:
        words.append(f"the first {MOST:,} of {len(images):,} images")
    if entry.get("outside"):
        words.append(f"{entry['outside']:,} values were outside [0, 1] or not finite and are clipped")
    bare = not any("caption" in image or "right" in image for image in images)
    # Small images are enlarged as squares: smoothing would invent what the model has not drawn.
    kind = f"grid n{min(max(entry.get('columns', 10), 1), 20)}"
    kind += (" small" if max(entry.get("width", 0), entry.get("height", 0)) <= 96 else "") + (" bare" if bare else "")
    kind += _room([image.get("caption", "") for image in images[:MOST]])
    return el("div", el("p", " \N{MIDDLE DOT} ".join(words), class_="hint") if words else None, el("div", cells, class_=kind))


def _room(captions: list[str]) -> str:
    """The class of a grid whose columns have room for the longest word of the captions, so that no word is broken."""
    longest = max((len(word) for caption in captions for word in caption.split()), default=0)
    # A mark in front of the word takes 20 pixels, a character 7.
    wanted = next((width for width in (80, 110, 140, 180) if 20 + 7 * longest <= width), 180)
    return f" w{wanted}" if longest > 5 else ""


def _image(run: Run, image: dict[str, Any], title: str, position: int) -> Html:
    content = base64.b64encode(sample_files.read(run.path / "samples", image["file"])).decode("ascii")
    right, caption = image.get("right"), image.get("caption")
    words = caption or f"{title}, {position + 1}"
    picture = el("img", src=f"data:image/png;base64,{content}", alt=words, loading="lazy", decoding="async")
    if right is None and caption is None:
        return el("figure", picture)
    mark = None
    if right is not None:
        sign = "\N{CHECK MARK}" if right else "\N{MULTIPLICATION X}"
        mark = [el("b", sign, aria_hidden="true"), el("span", "right: " if right else "wrong: ", class_="unseen")]
    state = None if right is None else "right" if right else "wrong"
    return el("figure", picture, el("figcaption", mark, el("span", caption or "", dir="auto")), class_=state)


def _text(run: Run, entry: dict[str, Any]) -> Html:
    text = sample_files.read(run.path / "samples", entry["file"]).decode("utf-8", errors="replace")
    prompt = el("span", entry["prompt"], class_="prompt") if entry.get("prompt") else None
    return el("div", prompt, el("span", text), class_="text", dir="auto")


def _plot(run: Run, entry: dict[str, Any]) -> Html:
    return plot(entry)


def _table(run: Run, entry: dict[str, Any]) -> Html:
    header, rows = entry["header"], entry["rows"]
    matrix = _is_matrix(header, rows)
    lines = []
    for position, row in enumerate(rows):
        top = max((cell for cell in row[1:] if is_number(cell)), default=0) if matrix else 0
        cells = [el("th", number(row[0]), scope="row")] if row else []
        for column, cell in enumerate(row[1:]):
            shade = f" h{round(9 * cell / top)}" if matrix and top > 0 else ""
            diagonal = " diagonal" if matrix and column == position else ""
            cells.append(el("td", number(cell), class_=f"{'n' if is_number(cell) else 't'}{shade}{diagonal}"))
        lines.append(el("tr", cells))
    numeric = [all(is_number(row[i]) for row in rows) for i in range(len(header))]
    heads = [el("th", name, scope="col", class_="n" if numeric[i] and i else None) for i, name in enumerate(header)]
    table = el("table", el("thead", el("tr", heads)), el("tbody", lines), class_="matrix" if matrix else None)
    hint = el("p", "Rows are shaded by their own largest value.", class_="hint") if matrix else None
    return el("div", hint, el("div", table, class_="scroll", tabindex="0", role="region", aria_label=entry["title"]))


def _is_matrix(header: list[str], rows: list[list[Any]]) -> bool:
    """Whether a table is square, named alike along both sides and not negative: a confusion matrix."""
    alike = len(rows) > 1 and [str(row[0]) for row in rows if row] == header[1:]
    return alike and all(is_number(cell) and 0 <= cell < float("inf") for row in rows for cell in row[1:])
