"""One's own questions on texts: JSON lines with the question, the text and the answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dlcore.data.own import files
from dlcore.data.own.found import SPLITS, Example, Found
from dlcore.errors import UsageError

KEYS = ("question", "context", "answer")
_SUFFIXES = (".jsonl",)


def find(path: Path) -> Found:
    """Finds the questions of a path; `values` are (question, context, answers as JSON).

    Args:
        path: a .jsonl file or a folder of them. A line is an object with `question`, `context` and
            `answer`, which stands in the context: a string, a list of equally right ones, or null
            where the context does not say; `start`, the offset of the (first) answer in characters,
            is needed where that occurs several times and not the first is meant. Splits are files
            train.jsonl, validation.jsonl and test.jsonl, or a key `split`.
    """
    found = Found(path)
    try:
        by_split, given = files.grouped(path, _SUFFIXES)
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
    try:
        lines = files.lines(file)
    except UsageError as error:
        found.problems.append(str(error))
        return
    for number, line in enumerate(lines, 1):
        if line.strip():
            where = f"{file}, line {number}"
            try:
                record = parsed(line)
                values, named = _values(record), _split(record, split)
            except UsageError as error:
                found.problems.append(f"{where}: {error}")
                continue
            found.splits.setdefault(named, []).append(Example(where, values))


def parsed(line: str, keys: Sequence[str] = KEYS) -> dict[str, Any]:
    """The object of a line of JSON, with a question and a context that are not empty.

    Args:
        line: JSON.
        keys: what it must have.

    Raises:
        UsageError: what is wrong with it.
    """
    try:
        record = json.loads(line)
    except ValueError as error:
        raise UsageError(f"not JSON ({error})") from error
    if not isinstance(record, dict):
        raise UsageError(f"a {type(record).__name__}, and no JSON object")
    if missing := [key for key in keys if key not in record]:
        there = ", ".join(record) or "nothing"
        raise UsageError(f"there is no {missing[0]!r}, but {there}: add it")
    for key in KEYS[:2]:
        if not isinstance(record[key], str) or not record[key].strip():
            raise UsageError(f"{key!r} must be a text that is not empty: mend it")
    return record


def _split(record: dict[str, Any], split: str) -> str:
    own = record.get("split", split or "train")
    if own not in SPLITS:
        raise UsageError(f"the split {own!r} is none of {', '.join(SPLITS)}")
    if split and own != split:
        raise UsageError(f"the split {own!r} in a file for {split}: remove it")
    return str(own)


def _values(record: dict[str, Any]) -> tuple[str, str, str]:
    """Question, context, and [[answer, offset of its first character], ...] as JSON."""
    context, given = record["context"], record["answer"]
    answers = given if isinstance(given, list) else [] if given in (None, "") else [given]
    start, found = record.get("start"), []
    for number, answer in enumerate(answers):
        if not isinstance(answer, str) or not answer.strip():
            raise UsageError(
                f"the answer {json.dumps(answer)} is no text: give a text, a list of texts, or null"
                " where the context does not say"
            )
        at = context.find(answer) if start is None or number else start
        if at == -1:
            raise UsageError(f"the answer {answer!r} does not stand in the context: copy it thence")
        if type(at) is not int or at < 0 or not context.startswith(answer, at):
            there = repr(context[at : at + len(answer)]) if type(at) is int and at >= 0 else "none"
            raise UsageError(
                f"the answer {answer!r} does not begin at character {at!r} of the context (there is"
                f" {there}): count characters from 0, not bytes, or leave 'start' out"
            )
        found.append([answer, at])
    return record["question"], context, json.dumps(found)


def load(path: Path) -> Found:
    """Loads the questions of a path in three splits.

    Missing splits are cut from train by the hash of the context, so that none is in two splits.

    Raises:
        UsageError: a fault in the files.
    """
    found = find(path)
    found.refuse()
    found.divide(lambda examples: [example.values[1] for example in examples])
    found.refuse()
    return found
