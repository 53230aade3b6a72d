"""User tagged sentences: CoNLL columns, or JSON lines of texts with spans of characters."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dlcore.data.own import files
from dlcore.data.own.found import SPLITS
from dlcore.data.split import by_hash
from dlcore.data.tag_schemes import Span, bio, to_bio
from dlcore.data.word_spans import words_of
from dlcore.errors import UsageError

NAMED = (".conll", ".iob", ".bio")  # endings that only such files have
SUFFIXES = (*NAMED, ".txt", ".tsv", ".jsonl")
_DOCUMENT = "-DOCSTART-"
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
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    text: str
    offsets: tuple[tuple[int, int], ...]
    label: str = ""


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
    """Returns a text as tagged sentence, split into words (`words_of`), also at the ends of spans.

    Args:
        text: the sentence.
        spans: typed ranges of characters, without overlaps. A span that begins or ends within a
            word cuts the word there; whitespace at its ends is ignored.
        label: class of the sentence; "": none.

    Returns:
        The sentence, with BIO tags.

    Raises:
        ValueError: spans that are empty, overlap, leave the text or hold no word.
    """
    ends = {position for span in spans for position in (span.start, span.end)}
    offsets = []
    for start, end in words_of(text):
        cuts = [start, *sorted(cut for cut in ends if start < cut < end), end]
        offsets += list(itertools.pairwise(cuts))
    positions = []
    for before, after in itertools.pairwise(sorted(spans, key=lambda span: span.start)):
        if after.start < before.end:
            raise ValueError(f"{after} overlaps {before}")
    for span in spans:
        if span.start >= span.end:
            raise ValueError(f"{span} is empty: its end must be after its start")
        if span.start < 0 or span.end > len(text):
            raise ValueError(f"{span} leaves the text of {len(text)} characters")
        inside = [i for i, (a, b) in enumerate(offsets) if span.start <= a and b <= span.end]
        if not inside:
            raise ValueError(f"{span} holds no word: {text[span.start : span.end]!r}")
        positions.append(Span(inside[0], inside[-1] + 1, span.type))
    words = tuple(text[start:end] for start, end in offsets)
    return Tagged(words, tuple(bio(positions, len(words))), text, tuple(offsets), label)


def is_columns(file: Path, tags: Sequence[str]) -> bool:
    """Returns whether a file has CoNLL columns: by its ending, or by the tags at its lines' ends.

    Args:
        file: one of `NAMED`; or .txt or .tsv, in which at least two lines, and more than half of
            those that are not blank or -DOCSTART-, have as many cells as the first, and a tag last.
        tags: known ones; of one such as B-PER all tags that end in -PER.

    Raises:
        UsageError: a .txt or .tsv file that cannot be read or is not UTF-8.
    """
    if file.suffix.lower() in NAMED:
        return True
    if file.suffix.lower() not in (".txt", ".tsv"):
        return False
    rows = [x.split() for x in files.lines(file) if x.strip() and not x.startswith(_DOCUMENT)]
    types = {tag[1:] for tag in tags if tag[1:2] == "-"}
    last = [each[-1] for each in rows if len(each) == len(rows[0]) > 1]  # lines of text are uneven
    count = sum(tag in tags or tag[1:] in types for tag in last)
    return count > 1 and 2 * count > len(rows)


def words_in(file: Path, problems: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yields (line number of the first word, words) of each sentence of a file of CoNLL columns.

    Args:
        file: as `load` describes them; there may be a column of words alone.
        problems: a message is appended for each line of other columns; its sentence is left out.

    Raises:
        UsageError: the file cannot be read or is not UTF-8.
    """
    for begin, rows in _blocks(file, files.lines(file), 1, problems):
        yield begin, [cells[0] for cells in rows]


def has_spans(file: Path) -> bool:
    """Returns whether a file's first line, blank ones skipped, is JSON of a text with spans.

    Such JSON has the key "text", and "spans" or "entities".

    Raises:
        UsageError: the file cannot be read or is not UTF-8.
    """
    first = next((line for line in files.lines(file) if line.strip()), "")
    try:
        found = files.parse(first)
    except ValueError:
        return False
    return (
        isinstance(found, dict) and "text" in found and not {"spans", "entities"}.isdisjoint(found)
    )


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

    Raises:
        UsageError: the first of the faults, with file and line, such as another number of columns.
    """
    found, problems = find(path, spans, labels)
    if problems:
        more = f" ({len(problems) - 1} more in {path})" if len(problems) > 1 else ""
        raise UsageError(problems[0] + more)
    return found


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
    for begin, rows in _blocks(file, lines, 2, problems):
        words, tags = ([cells[i] for cells in rows] for i in (0, -1))
        yield from _sentence(f"{file}, line {begin}", words, tags, spans, problems)


def _blocks(
    file: Path, lines: Sequence[str], least: int, problems: list[str]
) -> Iterator[tuple[int, list[list[str]]]]:
    """The first line of each sentence without faults, and its cells: `least` a line or more."""
    rows: list[list[str]] = []
    count, first, begin, known = 0, 0, 1, len(problems)
    for number, line in enumerate([*lines, ""], 1):
        if not line.strip() or line.startswith(_DOCUMENT):
            if rows and len(problems) == known:
                yield begin, rows
            rows, begin, known = [], number + 1, len(problems)
            continue
        cells = line.split("\t") if "\t" in line else line.split()
        count, first = (count, first) if count else (len(cells), number)
        if len(cells) == count >= least and not all(cells):
            empty = cells.index("") + 1
            problems.append(f"{file}, line {number}: column {empty} is empty: fill it in")
            continue
        if len(cells) != count or count < least:
            expected = f"{count} as in line {first}" if count >= least else "a word and its tag"
            problems.append(
                f"{file}, line {number}: {len(cells)} columns, and not {expected}: give each word"
                " all of its columns, and separate sentences by empty lines"
            )
            continue
        rows.append(cells)


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
        except (ValueError, TypeError) as error:
            problems.append(
                f'{file}, line {number}: {error}: a line is {{"text": TEXT, "spans": [{{"start":'
                ' 0, "end": 5, "label": NAME}]}'
            )


def _of_object(found: Any) -> Tagged:
    if not isinstance(found, dict) or not isinstance(found.get("text"), str):
        raise ValueError("there is no text")
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
    label = found.get("label", "")
    if not isinstance(label, str):
        raise ValueError("`label` is no text")
    made = of_text(found["text"], spans, label)
    if not made.words:
        raise ValueError("the text has no words")
    return made
