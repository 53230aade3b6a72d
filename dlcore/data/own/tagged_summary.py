"""Summarises a user's tagged sentences: spans or tags by split, lengths, duplicates, faults."""

from __future__ import annotations

import collections
from pathlib import Path

import numpy as np

from dlcore.data.own import tagged
from dlcore.data.own.found import SPLITS
from dlcore.data.own.summary import SHOWN, Summary, duplicates, short, whole
from dlcore.data.own.tagged import Tagged
from dlcore.data.tag_schemes import OUTSIDE, spans_of
from dlcore.errors import UsageError
from dlcore.samples import Table


def summary(path: Path) -> Summary:
    """Reads all tagged sentences of a path, and summarises them.

    Tags are read as spans if one of them is O or begins with B- or I-, or if there are JSON lines
    alone.

    Args:
        path: see `dlcore.data.own.tagged.load`.

    Returns:
        The summary; faults of files and sentences are its `problems`.

    Raises:
        UsageError: there are no such files, or no sentences in them.
    """
    spans = _marks_spans(path)
    found, problems = tagged.find(path, spans, labels=True)
    sentences = [(split, each) for split in SPLITS for each in found.splits.get(split, [])]
    if not sentences:
        raise UsageError(problems[0] if problems else f"{path} holds no sentences")
    lines = [f"sentences that can be read: {len(sentences):,}"]
    if found.by_hash:
        lines.append(f"cut from train by the hash of the words: {' and '.join(found.by_hash)}")
    if labels := sorted({each.label for _, each in sentences} - {""}):
        lines.append(f"labels of whole sentences: {len(labels):,}")
    if widened := tagged.describe_widened(found):
        lines.append(widened)
    numbered = (
        (split, f"sentence {i} of {split}", each.text, "")
        for split in SPLITS
        for i, each in enumerate(found.splits.get(split, []), 1)
    )
    experiment = ("slots_atis" if labels else "ner_conll") if spans else "pos_ewt"
    return Summary(
        path,
        tuple(lines),
        tuple(dict.fromkeys(problems)),
        (_counts(found.splits, spans), _lengths(sentences), *duplicates(numbered)),
        (_shown(found.splits, spans),),
        f"dlcore train {experiment} --data {path}",
    )


def _marks_spans(path: Path) -> bool:
    """Whether tags mark spans; JSON lines, which have none, hold spans."""
    words, _ = tagged.find(path, spans=False)
    tags = {tag for each in words.splits.values() for sentence in each for tag in sentence.tags}
    return not tags or any(tag == OUTSIDE or tag[:2] in ("B-", "I-") for tag in tags)


def _names(sentence: Tagged, spans: bool) -> list[str]:
    return [span.type for span in spans_of(sentence.tags)] if spans else list(sentence.tags)


def _counts(splits: dict[str, list[Tagged]], spans: bool) -> Table:
    """Spans by type, or words by tag, and sentences by split."""
    present = [split for split in SPLITS if split in splits]
    counted = {
        split: collections.Counter(name for each in splits[split] for name in _names(each, spans))
        for split in present
    }
    names = sorted({name for each in counted.values() for name in each})
    rows: list[tuple[str | float, ...]] = [
        (name, *(counted[split][name] for split in present)) for name in names
    ]
    rows.append(("sentences", *(len(splits[split]) for split in present)))
    return Table("Spans" if spans else "Words", ("type" if spans else "tag", *present), tuple(rows))


def _lengths(sentences: list[tuple[str, Tagged]]) -> Table:
    words = np.array([len(each.words) for _, each in sentences])
    row: tuple[str | float, ...] = (
        "words of a sentence",
        *(whole(each(words)) for each in (np.min, np.median, np.max)),
    )
    return Table("Sizes", ("", "minimum", "median", "maximum"), (row,))


def _shown(splits: dict[str, list[Tagged]], spans: bool) -> Table:
    """The first sentences of train with what is marked in them."""
    rows = []
    for each in splits.get("train", [])[:SHOWN]:
        if spans:
            found = spans_of(each.tags)
            ranges = ((each.offsets[s.start][0], each.offsets[s.end - 1][1]) for s in found)
            texts = (each.text[start:end] for start, end in ranges)
            marks = [f"{span.type}: {text}" for span, text in zip(found, texts, strict=True)]
        else:
            marks = [f"{word}/{tag}" for word, tag in zip(each.words, each.tags, strict=True)]
        rows.append((short(each.text), short("; ".join(marks)) or OUTSIDE))
    return Table("Some of train", ("text", "spans" if spans else "tags"), tuple(rows))
