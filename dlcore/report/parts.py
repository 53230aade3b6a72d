"""The HTML of each kind of part of a sample; what a part contains is never markup."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

from dlcore.report.markup import Html, el, is_number, number
from dlcore.report.plots import plot
from dlcore.runs import sample_files
from dlcore.samples import svg
from dlcore.samples.parts import COLOURS, Part

MOST = 400  # images of one grid that are shown
_MIDDLE_DOT = " \N{MIDDLE DOT} "


class Picture(TypedDict, total=False):
    """An entry of "images" in a part "pictures".

    Attributes:
        file: name of a PNG or GIF file in the samples folder.
        caption: text below the image; may be missing.
        right: whether the answer is right, shown as a mark; missing where there is no answer.
    """

    file: str
    caption: str
    right: bool


class SpanEntry(TypedDict, total=False):
    """An entry of "spans" in a part "text".

    Attributes:
        start, end: code points of the text, `end` excluded.
        label: is shown after the span; "": none.
        colour: number of a colour, modulo `COLOURS`, or a class of the style sheet.
    """

    start: int
    end: int
    label: str
    colour: int | str


def draw(folder: Path, part: Part, title: str) -> Html:
    """Draws one part of a sample; a note where its files are damaged.

    Args:
        folder: the samples folder with the part's files.
        part: a valid entry of its index.
        title: the sample's title, which describes images without a caption.
    """
    try:
        return _DRAWINGS[part["part"]](folder, part, title)
    except ValueError as error:
        return el("p", str(error), class_="note")


def _inline(folder: Path, name: str) -> str:
    """A file as a data URL."""
    media = {".png": "image/png", ".gif": "image/gif", ".wav": "audio/wav"}[Path(name).suffix]
    content = base64.b64encode(sample_files.read(folder, name)).decode("ascii")
    return f"data:{media};base64,{content}"


def _pictures(folder: Path, part: Part, title: str) -> Html:
    images = part["images"]
    cells = [_image(folder, image, title, i) for i, image in enumerate(images[:MOST])]
    hints = []
    marks = [image["right"] for image in images if "right" in image]
    if marks:
        hints.append(f"{sum(marks):,} of {len(marks):,} right")
    if len(images) > MOST:
        hints.append(f"the first {MOST:,} of {len(images):,} images")
    if part.get("outside"):
        hints.append(_clipped(part["outside"], "[0, 1]"))
    # Small images are enlarged without interpolation.
    small = max(part.get("width", 0), part.get("height", 0)) <= 96
    bare = not any("caption" in image or "right" in image for image in images)
    style = f"grid n{min(max(part.get('columns', 10), 1), 20)}"
    style += (" small" if small else "") + (" bare" if bare else "")
    style += _column_width([image.get("caption", "") for image in images[:MOST]])
    hint = el("p", _MIDDLE_DOT.join(hints), class_="hint") if hints else None
    return el("div", hint, el("div", cells, class_=style))


def _clipped(count: int, limits: str) -> str:
    return f"{count:,} values were outside {limits} or not finite and are clipped"


def _column_width(captions: list[str]) -> str:
    """The class of a grid whose columns fit the longest word of the captions."""
    longest = max((len(word) for caption in captions for word in caption.split()), default=0)
    # A mark before the word takes 20 pixels, a character 7.
    fits = (width for width in (80, 110, 140, 180) if 20 + 7 * longest <= width)
    return f" w{next(fits, 180)}" if longest > 5 else ""


def _image(folder: Path, image: Picture, title: str, position: int) -> Html:
    source = _inline(folder, image["file"])
    right, caption = image.get("right"), image.get("caption")
    alt = caption or f"{title}, {position + 1}"
    picture = el("img", src=source, alt=alt, loading="lazy", decoding="async")
    if right is None and caption is None:
        return el("figure", picture)
    mark = None
    if right is not None:
        sign = "\N{CHECK MARK}" if right else "\N{MULTIPLICATION X}"
        spoken = el("span", "right: " if right else "wrong: ", class_="unseen")
        mark = [el("b", sign, aria_hidden="true"), spoken]
    state = None if right is None else "right" if right else "wrong"
    legend = el("figcaption", mark, el("span", caption or "", dir="auto"))
    return el("figure", picture, legend, class_=state)


def _audio(folder: Path, part: Part, title: str) -> Html:
    caption = part.get("caption", "")
    source = _inline(folder, part["file"])
    label = caption or title
    player = el("audio", controls=True, preload="metadata", src=source, aria_label=label)
    clipped = _clipped(part["outside"], "[-1, 1]") if part.get("outside") else ""
    return _captioned(player, caption, clipped, "audio")


def _svg(folder: Path, part: Part, title: str) -> Html:
    """The drawing as an image, in which browsers execute no script and load no file."""
    caption = part.get("caption", "")
    drawing = svg.clean(sample_files.read(folder, part["file"])).encode("utf-8")
    source = f"data:image/svg+xml;base64,{base64.b64encode(drawing).decode('ascii')}"
    picture = el("img", src=source, alt=caption or title, loading="lazy", decoding="async")
    return _captioned(picture, caption, "", "drawing")


def _captioned(body: Html, caption: str, hint: str, style: str) -> Html:
    words = el("figcaption", el("span", caption, dir="auto")) if caption else None
    return el("figure", body, words, el("p", hint, class_="hint") if hint else None, class_=style)


def _text(folder: Path, part: Part, title: str) -> Html:
    return el("div", spans(sample_files.text_of(folder, part), part), class_="text", dir="auto")


def spans(text: str, part: Part) -> list[Html]:
    """Splits a text where spans start and end; where they overlap, the last one listed is shown.

    Args:
        text: the text.
        part: a valid text part, with `spans`.

    Returns:
        A <span> element for each part of the text between two such positions, also outside all
        spans. It ends with the label of the span that it shows, if that span ends there.
    """
    found = [(s["start"], min(s["end"], len(text)), s) for s in part.get("spans", [])]
    starts: dict[int, list[int]] = {}
    ends: dict[int, list[int]] = {}
    for i, (start, end, _) in enumerate(found):
        if start < end:
            starts.setdefault(start, []).append(i)
            ends.setdefault(end, []).append(i)
    cuts = sorted({0, len(text), *starts, *ends})
    active: set[int] = set()
    elements: list[Html] = []
    for start, end in zip(cuts, cuts[1:] or cuts, strict=False):
        active = (active - {*ends.get(start, ())}) | {*starts.get(start, ())}
        top = found[max(active)] if active else None
        label = top[2].get("label") if top and top[1] == end else ""
        note = el("b", label, class_="label") if label else None
        elements.append(el("span", text[start:end], note, class_=_look(top[2]) if top else None))
    return elements


def _look(span: SpanEntry) -> str:
    colour = span.get("colour", 0)
    if colour == "prompt":
        return "prompt"
    return f"span {colour}" if isinstance(colour, str) else f"span k{colour % COLOURS}"


def _plot(folder: Path, part: Part, title: str) -> Html:
    return plot(part, title)


def _table(folder: Path, part: Part, title: str) -> Html:
    header, rows = part["header"], part["rows"]
    matrix = _is_matrix(header, rows)
    lines = []
    for position, row in enumerate(rows):
        top = max((cell for cell in row[1:] if is_number(cell)), default=0) if matrix else 0
        cells = [el("th", number(row[0]), scope="row")] if row else []
        for column, cell in enumerate(row[1:]):
            shade = f" h{round(9 * cell / top)}" if matrix and top > 0 else ""
            diagonal = " diagonal" if matrix and column == position else ""
            align = "n" if is_number(cell) else "t"
            cells.append(el("td", number(cell), class_=f"{align}{shade}{diagonal}"))
        lines.append(el("tr", cells))
    numeric = [all(is_number(row[i]) for row in rows) for i in range(len(header))]
    aligned = ["n" if numeric[i] and i else None for i in range(len(header))]
    columns = zip(header, aligned, strict=True)
    heads = [el("th", name, scope="col", class_=align) for name, align in columns]
    style = "matrix" if matrix else None
    table = el("table", el("thead", el("tr", heads)), el("tbody", lines), class_=style)
    hint = el("p", "Rows are shaded by their own largest value.", class_="hint") if matrix else None
    frame = {"class_": "scroll", "tabindex": "0", "role": "region", "aria_label": title}
    return el("div", hint, el("div", table, **frame))


def _is_matrix(header: list[str], rows: list[list[str | float]]) -> bool:
    """Whether a table is a confusion matrix: square, equal names on both sides, no negatives."""
    if len(rows) < 2 or [str(row[0]) for row in rows if row] != header[1:]:
        return False
    cells = [cell for row in rows for cell in row[1:]]
    return all(is_number(cell) and 0 <= cell < float("inf") for cell in cells)


_DRAWINGS: dict[str, Callable[[Path, Part, str], Html]] = {
    "pictures": _pictures,
    "audio": _audio,
    "text": _text,
    "table": _table,
    "plot": _plot,
    "svg": _svg,
}
