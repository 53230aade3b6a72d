"""Summarises a user's data: counts, sizes, duplicates and faults."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from dlcore.data.own import corpus, image_decoding, images, pairs, photographs, stories, texts
from dlcore.data.own.found import SPLITS, Example, Found, first_values
from dlcore.data.own.kinds import Kind
from dlcore.errors import UsageError
from dlcore.samples import Images, Sample, Table

SHOWN = 20  # examples to look at
LISTED = 200  # duplicates that are named on a page
PRINTED = 20  # rows of a table in a terminal
CHARACTERS = 300  # of a text that is shown
_SIDE = 96  # pixels of a thumbnail
_PICTURES = ("images", "photographs")
_LABELLED = ("images", "texts")
_FIND = {
    "images": images.find,
    "photographs": photographs.find,
    "texts": texts.find,
    "stories": stories.find,
    "pairs": pairs.find,
    "corpus": corpus.find,
}
_NOUNS = {kind: kind for kind in _FIND} | {"corpus": "documents"}
_EXPERIMENTS = {
    "images": "cnn_mnist",
    "photographs": "style_transfer",
    "stories": "qa_babi",
    "texts": "bert_polarity",
    "pairs": "transformer_multi30k",
    "corpus": "gpt_tiny_shakespeare",
}


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


def summary(path: Path, kind: Kind) -> Summary:
    """Reads all examples of a path, and summarises them.

    Args:
        path: a file or folder.
        kind: "images", "photographs", "texts", "stories", "pairs" or "corpus"; other kinds have
            modules of their own.

    Returns:
        The summary, after missing splits are cut (not of "corpus"); faults are its `problems`.

    Raises:
        UsageError: there are no examples.
    """
    found = _FIND[kind](path)
    measured = decode_images(found) if kind in _PICTURES else _texts(found, kind)
    total = sum(map(len, found.splits.values()))
    if not total:
        found.refuse()
        raise UsageError(f"{path} holds no {_NOUNS[kind]}")
    lines = [f"{_NOUNS[kind]} that can be read: {total:,}"]
    if kind == "corpus" and "validation" not in found.splits:
        lines.append("there is no validation: training takes the last tenth of each file for it")
    elif kind != "corpus":
        by_content = kind in _PICTURES
        found.divide(
            lambda train: (
                [measured.digest[e.where] for e in train] if by_content else first_values(train)
            ),
        )
    if found.by_hash:
        lines.append(f"cut from train by the hash of the content: {' and '.join(found.by_hash)}")
    if kind in _LABELLED:
        found.classes()
    if kind == "stories":
        questions = sum(stories.questions(example) for _, example in found.items())
        lines.append(f"questions: {questions:,}")
    if kind == "texts":
        lines.append(_lengths(measured.sizes["words"]))
    same = _duplicates(measured, kind)
    if not same:
        lines.append("no two of them are the same")
    tables = [_counts(found, kind), sizes(measured.sizes), *same]
    return Summary(
        path,
        tuple(lines),
        tuple(dict.fromkeys(found.problems)),
        tuple(tables),
        tuple(_shown(found, kind)),
        f"dlcore train {_EXPERIMENTS[kind]} --data {path}",
    )


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


def _texts(found: Found, kind: Kind) -> Measured:
    measured = Measured(found, {}, {})
    sides = ("source ", "target ") if kind == "pairs" else ("",)
    for _, example in found.items():
        content = example.values[: len(sides)]
        key = "\t".join(each.strip() for each in content)
        measured.digest[example.where] = hashlib.sha256(key.encode()).hexdigest()
        for side, text in zip(sides, content, strict=True):
            measured.sizes.setdefault(f"{side}characters", []).append(len(text))
            measured.sizes.setdefault(f"{side}words", []).append(len(text.split()))
    return measured


def _lengths(words: Sequence[float]) -> str:
    median, most, longest = np.quantile(words, (0.5, 0.9, 1.0), method="higher")
    return (
        f"words of a text: median {median:.0f}, nine of ten have at most {most:.0f}, the longest"
        f" has {longest:.0f}; --length tokens of each are read, and a rare word takes several"
    )


def _counts(found: Found, kind: Kind) -> Table:
    """Examples by split, and by class where there are classes."""
    by_class: dict[str, collections.Counter[str]] = {}
    for split, example in found.items():
        label = example.values[-1] if kind in _LABELLED else _NOUNS[kind]
        by_class.setdefault(label, collections.Counter())[split] += 1
    splits = [split for split in SPLITS if split in found.splits]
    rows: list[tuple[str | float, ...]] = [
        (label, *(by_class[label][split] for split in splits)) for label in sorted(by_class)
    ]
    if len(rows) > 1:
        rows.append(("all", *(len(found.splits[split]) for split in splits)))
    return Table("Examples", ("class" if len(rows) > 1 else "", *splits), tuple(rows))


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


def _duplicates(measured: Measured, kind: Kind) -> list[Table]:
    return duplicates(
        (split, e.where, measured.digest[e.where], e.values[-1] if kind in _LABELLED else "")
        for split, e in measured.found.items()
    )


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


def _shown(found: Found, kind: Kind) -> list[Sample]:
    """A few examples of train, taken in turn from every class."""
    by_class: dict[str, list[Example]] = {}
    for example in found.splits.get("train", ()):
        by_class.setdefault(example.values[-1] if kind in _LABELLED else "", []).append(example)
    turns = sorted(
        (place, label)
        for label, examples in by_class.items()
        for place in range(min(SHOWN, len(examples)))
    )
    chosen = [by_class[label][place] for place, label in turns[:SHOWN]]
    if not chosen:
        return []
    if kind in _PICTURES:
        files = [Path(example.values[0]) for example in chosen]
        thumbnails = np.stack([thumbnail(image_decoding.upright(file)) for file in files])
        labels = [e.values[1] for e in chosen] if kind in _LABELLED else [f.name for f in files]
        return [Images("A few of train", thumbnails, tuple(labels))]
    head = {
        "texts": texts.COLUMNS,
        "stories": ("story", "task"),
        "pairs": pairs.SIDES,
        "corpus": ("begins with",),
    }[kind]
    cells = (tuple(short(value) for value in example.values) for example in chosen)
    return [Table("A few of train", head, tuple(cells))]


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
