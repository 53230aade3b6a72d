"""User tagged sentences: CoNLL columns, or JSON lines of texts with spans of characters."""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dlcore.data.own import files, tag_columns
from dlcore.data.own.found import SPLITS
from dlcore.data.split import by_hash
from dlcore.data.tag_schemes import Span, bio, to_bio
from dlcore.data.tokens import without_surrogates
from dlcore.data.word_spans import words_of
from dlcore.errors import UsageError

SUFFIXES = (*tag_columns.NAMED, ".txt", ".tsv", ".jsonl")
_Placed = tuple[str, "Tagged"]  # with its file and line


@dataclasses.dataclass(frozen=True)
class Tagged:
    """A tagged sentence.

    Attributes:
        words: of the sentence.
        tags: one per word; in the BIO scheme where they mark spans.
        text: the sentence as it was written; where it was given as words (`of_words`), these joined
            by single spaces.
        offsets: (start, end) of each word in characters of `text`; the word is text[start:end].
        label: class of the whole sentence; "": none.
        widened: (what was marked, the words that are tagged) of each span that began or ended
            within a word.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    text: str
    offsets: tuple[tuple[int, int], ...]
    label: str = ""
    widened: tuple[tuple[str, str], ...] = ()


def of_words(words: Sequence[str], tags: Sequence[str], label: str = "") -> Tagged:
    """Returns a tagged sentence that is given as words; its text joins them by spaces.

    Args:
        words: of the sentence.
        tags: one per word, stored as they are.
        label: class of the sentence; "": none.
    """
    offsets, position = [], 0
    for word in words:
        offsets.append((position, position + len(word)))
        position += len(word) + 1
    return Tagged(tuple(words), tuple(tags), " ".join(words), tuple(offsets), label)


def of_text(text: str, spans: Sequence[Span] = (), label: str = "") -> Tagged:
    """Returns a text as tagged sentence, split into words by `words_of`, whatever is marked in it.

    Args:
        text: the sentence.
        spans: typed ranges of characters, without overlaps. All words that a span touches get its
            tag, so that words are split in training as they are where the tags are to be found.
        label: class of the sentence; "": none.

    Returns:
        The sentence, with BIO tags.

    Raises:
        ValueError: spans that are empty, overlap, touch the same word, leave the text or hold no
            word.
    """
    offsets = tuple(words_of(text))
    positions: list[Span] = []
    widened = []
    ordered = sorted(spans, key=lambda span: span.start)
    for before, after in itertools.pairwise(ordered):
        if after.start < before.end:
            raise ValueError(f"{after} overlaps {before}")
    for span in ordered:
        marked = text[max(0, span.start) : span.end]
        if span.start >= span.end:
            raise ValueError(f"{span} is empty: its end must be after its start")
        if span.start < 0 or span.end > len(text):
            raise ValueError(f"{span} leaves the text of {len(text)} characters")
        touched = [i for i, (a, b) in enumerate(offsets) if a < span.end and span.start < b]
        if not touched:
            raise ValueError(f"{span} holds no word: {marked!r}")
        first, last = touched[0], touched[-1]
        if positions and first < positions[-1].end:
            word = text[slice(*offsets[first])]
            raise ValueError(
                f"{span} marks a part of the word {word!r}, and so does another span: separate the"
                " parts by a space, or give the words as CoNLL columns"
            )
        tagged = text[offsets[first][0] : offsets[last][1]]
        widened += [(marked, tagged)] if tagged != marked.strip() else []
        positions.append(Span(first, last + 1, span.type))
    words = tuple(text[start:end] for start, end in offsets)
    return Tagged(words, tuple(bio(positions, len(words))), text, offsets, label, tuple(widened))


def has_spans(file: Path) -> bool:
    """Returns whether the first JSON object of a file is a text with spans.

    Such an object has the key "text", and "spans" or "entities".

    Raises:
        UsageError: the file cannot be read or is not UTF-8.
    """
    found = files.first_object(file)
    return "text" in found and not {"spans", "entities"}.isdisjoint(found)


@dataclasses.dataclass(frozen=True)
class Own:
    """A user's tagged sentences.

    Attributes:
        splits: {split: sentences}.
        by_hash: names of the splits that were cut from train by the hash of the words.
    """

    splits: dict[str, list[Tagged]]
    by_hash: tuple[str, ...]


def load(path: Path, spans: bool = True, labels: bool = False) -> Own:
    """Loads tagged sentences.

    Args:
        path: a file or a folder of files with one of `SUFFIXES`; splits are files or folders named
            train, validation and test (`files.grouped`). Of the last two those that are missing are
            cut from train, a tenth each, by the hash of the words. .jsonl files have an object in
            each line: "text", "spans" or "entities", a list of {"start", "end", "label"} with
            offsets in characters, end exclusive, and "label" of the whole text if it has one. All
            other files have CoNLL columns: in each line a word first and its tag last, separated by
            tabs if the line has one, else by blanks; an empty line, or one that begins with
            -DOCSTART-, ends a sentence.
        spans: whether tags mark spans, in any scheme that `tag_schemes.spans_of` reads; they are
            converted to BIO. Otherwise tags are kept as they are, and JSON lines are refused.
        labels: whether all sentences must have a label, or none; otherwise some may lack it.

    Returns:
        The sentences of all three splits.

    Emits a UserWarning if spans begin or end within a word (`describe_widened`).

    Raises:
        UsageError: the first of the faults, with file and line, such as another number of columns.
    """
    found, problems = find(path, spans, labels)
    if problems:
        more = f" ({len(problems) - 1} more in {path})" if len(problems) > 1 else ""
        raise UsageError(problems[0] + more)
    if widened := describe_widened(found):
        warnings.warn(f"{path}: {widened}", stacklevel=2)
    return found


def describe_widened(found: Own) -> str:
    """Says how many spans were widened to whole words (`Tagged.widened`); "": none."""
    every = [each for split in found.splits.values() for one in split for each in one.widened]
    if not every:
        return ""
    marked, words = every[0]
    return (
        f"{len(every):,} spans begin or end within a word, such as {marked!r} in {words!r}: the"
        " whole words are tagged"
    )


def find(path: Path, spans: bool = True, labels: bool = False) -> tuple[Own, list[str]]:
    """Loads what can be read of tagged sentences, and lists all faults.

    Args:
        path, spans, labels: as of `load`.

    Returns:
        The sentences without faults, and a message for each fault; no message: these are the
        sentences of `load`. Missing splits are cut only if there is no fault.

    Raises:
        UsageError: as `files.grouped`, such as a path that does not exist or has no such files.
    """
    groups, _ = files.grouped(path, SUFFIXES)
    problems: list[str] = []
    placed = {
        split: [each for file in found for each in _read(file, spans, problems)]
        for split, found in groups.items()
    }
    problems += _unlabelled([x for found in placed.values() for x in found]) if labels else []
    splits = {split: [each for _, each in found] for split, found in placed.items()}
    if not problems and (empty := [split for split, each in splits.items() if not each]):
        problems.append(f"{path} has no sentences for {empty[0]}: add some")
    if problems:
        return Own(splits, ()), problems
    if missing := tuple(split for split in SPLITS[1:] if split not in splits):
        shares = {split: 0.1 if split in missing else 0.0 for split in SPLITS[1:]}
        train = splits["train"]
        parts = by_hash([" ".join(each.words) for each in train], **shares)
        for split in ("train", *missing):
            splits[split] = [train[i] for i in parts[split]]
            if not splits[split]:
                problems.append(
                    f"{path}: of its {len(train)} sentences the hash puts none into {split}: add"
                    " sentences, or give the splits train, validation and test yourself"
                )
    return Own(splits, missing), problems


def _unlabelled(placed: Sequence[_Placed]) -> list[str]:
    """A fault where some sentences have a label and others none."""
    lacking = [where for where, each in placed if not each.label]
    fault = f"there is no `label`, which {len(placed) - len(lacking)} of {len(placed)} sentences"
    way = "give every sentence one, as JSON lines can, or none"
    return [f"{lacking[0]}: {fault} have: {way}"] if 0 < len(lacking) < len(placed) else []


def _read(file: Path, spans: bool, problems: list[str]) -> list[_Placed]:
    try:
        lines = files.lines(file)
    except UsageError as error:
        problems.append(str(error))
        return []
    read = _objects if file.suffix.lower() == ".jsonl" else _columns
    return list(read(file, lines, spans, problems))


def _columns(
    file: Path, lines: Sequence[str], spans: bool, problems: list[str]
) -> Iterator[_Placed]:
    for begin, rows in tag_columns.sentences(file, lines, 2, problems):
        words, tags = ([cells[i] for cells in rows] for i in (0, -1))
        yield from _sentence(f"{file}, line {begin}", words, tags, spans, problems)


def _sentence(
    where: str, words: Sequence[str], tags: Sequence[str], spans: bool, problems: list[str]
) -> Iterator[_Placed]:
    try:
        yield where, of_words(words, to_bio(tags) if spans else tags)
    except ValueError as error:
        problems.append(f"{where}: {error}: the last column must hold such tags")


def _objects(
    file: Path, lines: Sequence[str], spans: bool, problems: list[str]
) -> Iterator[_Placed]:
    if not spans:
        problems.append(
            f"{file}, line 1: JSON lines hold spans, and this experiment gives every word a tag:"
            " give CoNLL columns"
        )
        return
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = files.parse(line)
            yield f"{file}, line {number}", _of_object(found)
        except (ValueError, TypeError, UsageError) as error:
            problems.append(
                f'{file}, line {number}: {error}: a line is {{"text": TEXT, "spans": [{{"start":'
                ' 0, "end": 5, "label": NAME}]}'
            )


def _of_object(found: Any) -> Tagged:
    if not isinstance(found, dict) or not isinstance(found.get("text"), str):
        raise ValueError("there is no text")
    files.refuse_split(found)
    given = found.get("spans", found.get("entities", []))
    if not isinstance(given, list):
        raise ValueError("`spans` is no list")
    spans = []
    for each in given:
        if not isinstance(each, dict):
            raise ValueError("a span is no object with start, end and label")
        start, end, name = each.get("start"), each.get("end"), each.get("label")
        if type(start) is not int or type(end) is not int or not isinstance(name, str) or not name:
            raise ValueError("a span needs start and end, whole numbers, and a label")
        spans.append(Span(start, end, name))
    label = found.get("label") or ""
    if not isinstance(label, str):
        raise ValueError("`label` is no text")
    made = of_text(without_surrogates(found["text"]), spans, label)
    if not made.words:
        raise ValueError("the text has no words")
    return made
