"""Summarises a user's images by class, photographs, texts, stories, pairs and corpora."""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dlcore.data.own import corpus, image_decoding, images, pairs, photographs, stories, texts
from dlcore.data.own.found import SPLITS, Example, Found, first_values
from dlcore.data.own.kinds import Kind
from dlcore.data.own.summary import (
    SHOWN,
    Measured,
    Summary,
    decode_images,
    duplicates,
    short,
    sizes,
    thumbnail,
)
from dlcore.errors import UsageError
from dlcore.samples import Images, Sample, Table

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


def _duplicates(measured: Measured, kind: Kind) -> list[Table]:
    return duplicates(
        (split, e.where, measured.digest[e.where], e.values[-1] if kind in _LABELLED else "")
        for split, e in measured.found.items()
    )


def _shown(found: Found, kind: Kind) -> list[Sample]:
    """A few examples of train, taken in turn from every class."""
    by_class: dict[str, list[Example]] = {}
    for example in found.splits.get("train", ()):
        by_class.setdefault(example.values[-1] if kind in _LABELLED else "", []).append(example)
    turns = sorted(
        (position, label)
        for label, examples in by_class.items()
        for position in range(min(SHOWN, len(examples)))
    )
    chosen = [by_class[label][position] for position, label in turns[:SHOWN]]
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
