"""User questions on texts: JSON lines with question, context and answer, or SQuAD's JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dlcore.data.own import files, squad
from dlcore.data.own.found import SPLITS, Example, Found
from dlcore.data.tokens import without_surrogates
from dlcore.errors import UsageError

KEYS = ("question", "context", "answer")
SUFFIXES = (".jsonl", squad.SUFFIX)
TAKES = (
    'files of JSON lines {"question": ..., "context": ...} or of SQuAD\'s JSON, --text LINE, or -'
    " for such lines in standard input; or --question TEXT and files of plain text, or - for one"
)  # what `unanswered` reads, in words


def find(path: Path) -> Found:
    """Finds the questions of a path; `values` are (question, context, answers as JSON).

    Answers are [[answer, offset of its first character in the context], ...], [] without an answer.

    Args:
        path: a .jsonl file, a .json file of SQuAD (`squad.questions`), or a folder of them. A line
            of the former is an object with `question`, `context` and `answer`, which occurs in the
            context: a string, a list of equally right ones, or null where the context does not say;
            `start`, the offset of the (first) answer in characters, is needed where that occurs
            several times as whole words and not the first is meant. Splits are files or folders
            named train, validation and test, or else a key `split` of a line ("train" where it has
            none).

    Returns:
        The examples by split; faults of files and lines are in its `problems`.
    """
    found = Found(path)
    try:
        by_split, given = files.grouped(path, SUFFIXES)
    except UsageError as error:
        found.problems.append(str(error))
        return found
    for split, paths in by_split.items():
        for file in paths:
            _read(found, file, "" if not given else split)
    if not found.problems and not found.splits.get("train"):
        found.problems.append(f"{path} has no questions for train: add some")
    return found


def _read(found: Found, file: Path, split: str) -> None:
    read = _squad if file.suffix.lower() == squad.SUFFIX else _lines
    try:
        for where, named, record, starts in read(found, file, split):
            try:
                values = _values(record, starts)
            except UsageError as error:
                found.problems.append(f"{where}: {error}")
                continue
            found.splits.setdefault(named, []).append(Example(where, values))
    except UsageError as error:
        found.problems.append(str(error))


_Record = tuple[str, str, Mapping[str, Any], Sequence[object]]  # where, split, record, starts


def _lines(found: Found, file: Path, split: str) -> Iterator[_Record]:
    for where, line in _numbered(str(file), files.lines(file)):
        try:
            record = parsed(line)
            named = _split(record, split)
        except UsageError as error:
            found.problems.append(f"{where}: {error}")
            continue
        yield where, named, record, [record.get("start")]


def _squad(found: Found, file: Path, split: str) -> Iterator[_Record]:
    for where, record in squad.questions(file):
        try:
            checked(record, KEYS[:2])
            answers = record["answers"]
            if not isinstance(answers, list) or not all(isinstance(a, dict) for a in answers):
                raise UsageError(f"{record['question']!r} has no list 'answers': add it")
        except UsageError as error:
            found.problems.append(f"{where}: {error}")
            continue
        texts, starts = ([a.get(key) for a in answers] for key in ("text", "answer_start"))
        yield where, split or "train", {**record, "answer": texts}, starts


def parsed(line: str, keys: Sequence[str] = KEYS) -> Mapping[str, Any]:
    """Parses a line of JSON as an object with a question and a context that are not empty.

    Args:
        line: JSON.
        keys: required keys, `question` and `context` among them.

    Raises:
        UsageError: not JSON, not an object, or as `checked`.
    """
    try:
        record = files.parse(line)
    except ValueError as error:
        plain = "" if "answer" in keys else "; of plain texts --question TEXT asks"
        form = ", ".join(f'"{key}": ...' for key in keys)
        raise UsageError(f"{error}: a line is {{{form}}}{plain}") from error
    if not isinstance(record, dict):
        raise UsageError(f"a {type(record).__name__}, and no JSON object")
    return checked(record, keys)


def checked(record: Mapping[str, Any], keys: Sequence[str]) -> Mapping[str, Any]:
    """Checks that a record has some keys, and that its question and context are texts.

    Args:
        record: an object of JSON.
        keys: required keys, `question` and `context` among them.

    Returns:
        The record.

    Raises:
        UsageError: a key is missing, or the question or context is blank, not a string, or has
            half of a character.
    """
    if missing := [key for key in keys if key not in record]:
        there = ", ".join(record) or "nothing"
        raise UsageError(f"there is no {missing[0]!r}, but {there}: add it")
    for key in KEYS[:2]:
        if not isinstance(record[key], str) or not record[key].strip():
            raise UsageError(f"{key!r} must be a text that is not empty: mend it")
        without_surrogates(record[key])
    return record


def _split(record: Mapping[str, Any], split: str) -> str:
    own = record.get("split", split or "train")
    if own not in SPLITS:
        raise UsageError(f"the split {own!r} is none of {', '.join(SPLITS)}")
    if split and own != split:
        raise UsageError(f"the split {own!r} in a file for {split}: remove it")
    return str(own)


def _values(record: Mapping[str, Any], starts: Sequence[object]) -> tuple[str, str, str]:
    """Question, context, and [[answer, offset of its first character], ...] as JSON.

    Args:
        record: with `question`, `context` and `answer`.
        starts: offsets of the first answers; None: where an answer first occurs, see
            `_found`.
    """
    context, given = record["context"], record["answer"]
    answers = given if isinstance(given, list) else [] if given in (None, "") else [given]
    offsets = [*starts, *[None] * len(answers)]
    found = [[each, _start(context, each, offsets[i])] for i, each in enumerate(answers)]
    return record["question"], context, json.dumps(found)


def _start(context: str, answer: object, start: object) -> int:
    """The offset of an answer, which is checked if it is given."""
    if not isinstance(answer, str) or not answer.strip():
        raise UsageError(
            f"the answer {json.dumps(answer)} is no text: give a text, a list of texts, or null"
            " where the context does not say"
        )
    at = _found(context, answer) if start is None else start
    if at == -1:
        raise UsageError(f"the answer {answer!r} does not stand in the context: copy it thence")
    if type(at) is not int or at < 0 or not context.startswith(answer, at):
        there = repr(context[at : at + len(answer)]) if type(at) is int and at >= 0 else "none"
        raise UsageError(
            f"the answer {answer!r} does not begin at character {at!r} of the context (there is"
            f" {there}): count characters from 0, not bytes, or leave the offset out"
        )
    return at


def _found(context: str, answer: str) -> int:
    """Where an answer first occurs as whole words, else where it first occurs; -1: nowhere."""
    match = re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", context)
    return match.start() if match else context.find(answer)


def load(path: Path) -> Found:
    """Loads the questions of a path in three splits; `divide` cuts those that are missing.

    Args:
        path: see `find`.

    Raises:
        UsageError: a fault in the files, or a split that the hash leaves empty.
    """
    found = find(path)
    found.refuse()
    divide(found)
    found.refuse()
    return found


def divide(found: Found) -> None:
    """Cuts missing splits from train in place, by the hash of the context (`Found.divide`).

    The questions on one context of train stay in one split.
    """
    found.divide(lambda examples: [example.values[1] for example in examples])


def unanswered(
    paths: Sequence[Path], text: Sequence[str], question: str = ""
) -> list[tuple[str, str] | UsageError]:
    """Reads (question, context) pairs from files, then from strings; other keys are ignored.

    Args:
        paths: .json files in SQuAD's format; other files of JSON lines with "question" and
            "context".
        text: strings of one or more such lines.
        question: if not empty, files and strings are plain texts, each the context of this one.

    Returns:
        The pairs; in place of that of a line which is not an object with both, of a question of
        SQuAD's format without its text, or of a blank plain text a UsageError that names the place.

    Raises:
        UsageError: a file cannot be read or is not in SQuAD's format.
    """
    if question:
        named = [(str(path), files.text(path)) for path in paths]
        contexts = [*named, *(("the text", each) for each in text)]
        return [
            (question, each)
            if each.strip()
            else UsageError(f"{where} is empty: there is nothing to find an answer in")
            for where, each in contexts
        ]
    keys, found = KEYS[:2], list[tuple[str, str] | UsageError]()
    for where, given in _given(paths, text):
        try:
            record = parsed(given, keys) if isinstance(given, str) else checked(given, keys)
            found.append((record["question"], record["context"]))
        except UsageError as error:
            found.append(UsageError(f"{where}: {error}"))
    return found


def _given(
    paths: Sequence[Path], text: Sequence[str]
) -> Iterator[tuple[str, str | Mapping[str, Any]]]:
    """Where each question is, and its line of JSON or its record of SQuAD."""
    for path in paths:
        if path.suffix.lower() == squad.SUFFIX:
            yield from squad.questions(path)
        else:
            yield from _numbered(str(path), files.lines(path))
    for each in text:
        # not splitlines: JSON strings may hold U+2028, and lines end at line feeds alone
        yield from _numbered("the text", each.replace("\r\n", "\n").split("\n"))


def _numbered(name: str, lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    return ((f"{name}, line {i}", line) for i, line in enumerate(lines, 1) if line.strip())


def of_mapping(value: object) -> tuple[str, str]:
    """Returns the values of the keys "question" and "context" of a mapping.

    Args:
        value: the mapping; other keys are ignored.

    Raises:
        UsageError: it is not a mapping, or one of the two is missing, blank or not a string.
    """
    named = value if isinstance(value, Mapping) else {}
    texts = [named.get(key) for key in KEYS[:2]]
    if not all(isinstance(each, str) and each.strip() for each in texts):
        raise UsageError('give {"question": ..., "context": ...}, two texts that are not empty')
    return str(texts[0]), str(texts[1])
