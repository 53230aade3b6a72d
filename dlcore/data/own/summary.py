"""What all summaries of a user's data have: sizes, duplicates, and how they are printed."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from dlcore.data.own import image_decoding
from dlcore.data.own.found import Found
from dlcore.errors import UsageError
from dlcore.samples import Sample, Table

SHOWN = 20  # examples to look at
LISTED = 200  # duplicates that are named on a page
PRINTED = 20  # rows of a table in a terminal
CHARACTERS = 300  # of a text that is shown
_SIDE = 96  # pixels of a thumbnail


@dataclasses.dataclass(frozen=True)
class Summary:
    """A summary of a path before training.

    Attributes:
        path: the file or folder.
        lines: facts of all the data, a sentence each.
        problems: everything that training would refuse, a sentence each.
        tables: counts, sizes and duplicates.
        examples: a few examples.
        command: a command that trains on these data.
    """

    path: Path
    lines: tuple[str, ...]
    problems: tuple[str, ...]
    tables: tuple[Table, ...]
    examples: tuple[Sample, ...]
    command: str


@dataclasses.dataclass
class Measured:
    """The readable examples of a path, with hashes and sizes.

    Attributes:
        found: the examples; those that cannot be read are among its problems.
        digest: {`where` of an example: SHA-256 of its content}.
        sizes: {quantity, such as "height" or "words": its value in each example}.
    """

    found: Found
    digest: dict[str, str]
    sizes: dict[str, list[float]]


def decode_images(found: Found) -> Measured:
    """Decodes every image, and measures its size and the hash of its file.

    Args:
        found: examples whose first value is a file. Those that cannot be decoded are removed from
            it in place, and become its problems.

    Returns:
        `found`, the `digest` of each file, and `sizes`: "height" and "width" in pixels.
    """
    measured = Measured(found, {}, {"height": [], "width": []})
    for split, examples in found.splits.items():
        kept = []
        for example in examples:
            file = Path(example.values[0])
            try:
                image = image_decoding.upright(file)
            except UsageError as error:
                found.problems.append(str(error))
                continue
            measured.digest[example.where] = hashlib.sha256(file.read_bytes()).hexdigest()
            measured.sizes["height"].append(image.height)
            measured.sizes["width"].append(image.width)
            kept.append(example)
        found.splits[split] = kept
    return measured


def sizes(columns: Mapping[str, Sequence[float]], title: str = "Sizes") -> Table:
    """Tabulates minimum, median and maximum of each quantity that has values.

    Args:
        columns: {quantity: its values}.
        title: of the table.
    """
    rows: list[tuple[str | float, ...]] = [
        (name, *(whole(each(values)) for each in (np.min, np.median, np.max)))
        for name, values in columns.items()
        if len(values)
    ]
    return Table(title, ("", "minimum", "median", "maximum"), tuple(rows))


def whole(value: float) -> float:
    """Converts a whole number to int, so that it is shown without decimals, and others to float."""
    return int(value) if value == int(value) else float(value)


def duplicates(examples: Iterable[tuple[str, str, str, str]], noun: str = "labels") -> list[Table]:
    """Tabulates identical examples, those in two splits first, since they bias evaluations.

    Args:
        examples: (split, where, content, label) of each; examples of equal content are identical.
        noun: what labels are called in the note, "NOUN a and b", which a pair of examples with
            different labels has.

    Returns:
        One table of at most `LISTED` rows (splits, where the first of identical examples is, where
        another one is, note), one for each example but the first; no table if all examples differ.
    """
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for split, where, content, label in examples:
        groups.setdefault(content, []).append((split, where, label))
    rows: dict[bool, list[tuple[str, str, str, str]]] = {True: [], False: []}
    for (split, where, label), *others in groups.values():
        for other_split, other, other_label in others:
            across = split != other_split
            called = f"{split} and {other_split}" if across else f"within {split}"
            note = f"{noun} {label} and {other_label}" if label != other_label else ""
            rows[across].append((called, where, other, note))
    if not rows[True] and not rows[False]:
        return []
    title = f"Duplicates: {len(rows[True]):,} across splits, {len(rows[False]):,} within one"
    listed = (rows[True] + rows[False])[:LISTED]
    return [Table(title, ("splits", "one", "the same", "note"), tuple(listed))]


def thumbnail(image: Image.Image) -> np.ndarray:
    """Scales an image, its aspect ratio kept, and pads it to a square, uint8 [96, 96, 3]."""
    padded = ImageOps.pad(image.convert("RGB"), (_SIDE, _SIDE), Image.Resampling.BILINEAR)
    return np.asarray(padded)


def short(text: str) -> str:
    """Returns a text, truncated after `CHARACTERS` characters and then ended by "..."."""
    return text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]}..."


def printed(tables: Sequence[Table]) -> list[str]:
    """Formats tables as aligned lines of text; of each table at most the first `PRINTED` rows."""
    lines = []
    for table in tables:
        rows = [table.header, *table.rows[:PRINTED]]
        cells = [[_cell(cell) for cell in row] for row in rows]
        widths = [max(len(row[i]) for row in cells) for i in range(len(table.header))]
        numeric = [not isinstance(cell, str) for cell in rows[-1]]
        lines += ["", table.title]
        for row in cells:
            aligned = [
                text.rjust(width) if right else text.ljust(width)
                for text, width, right in zip(row, widths, numeric, strict=True)
            ]
            lines.append(f"  {'  '.join(aligned).rstrip()}")
        if len(table.rows) > PRINTED:
            lines.append(f"  and {len(table.rows) - PRINTED:,} more: --out FILE.html shows them")
    return lines


def _cell(cell: str | float) -> str:
    """A cell on one line, without control characters."""
    if not isinstance(cell, str):
        return f"{cell:,.10g}"
    return "".join(c if c.isprintable() else " " for c in " ".join(cell.split()))[:60]
