"""Summarises a user's questions: counts, lengths, duplicates and faults."""

from __future__ import annotations

import json
from pathlib import Path

from dlcore.data.own import questions
from dlcore.data.own.found import SPLITS, Found
from dlcore.data.own.summary import SHOWN, Summary, duplicates, short, sizes
from dlcore.errors import UsageError
from dlcore.samples import Table


def summary(path: Path) -> Summary:
    """Reads all questions of a path, and summarises them.

    Args:
        path: see `dlcore.data.own.questions.find`.

    Returns:
        The summary, of all three splits; faults of files and questions are its `problems`.

    Raises:
        UsageError: there are no questions.
    """
    found = questions.find(path)
    if not any(found.splits.values()):
        found.refuse()
        raise UsageError(f"{path} holds no questions")
    questions.divide(found)
    examples = [example for _, example in found.items()]
    contexts = {example.values[1] for example in examples}
    lines = [f"questions that can be read: {len(examples):,}, on {len(contexts):,} texts"]
    if found.by_hash:
        lines.append(f"cut from train by the hash of the text: {' and '.join(found.by_hash)}")
    same = duplicates(
        (split, example.where, "\t".join(example.values[:2]), _answer(example.values[2]))
        for split, example in found.items()
    )
    if not same:
        lines.append("no two of them are the same")
    rows = [tuple(map(short, (e.values[0], _answer(e.values[2]), e.values[1]))) for e in examples]
    return Summary(
        path,
        tuple(lines),
        tuple(dict.fromkeys(found.problems)),
        (_counts(found), _sizes(found), *same),
        (Table("A few of them", ("question", "answer", "context"), tuple(rows[:SHOWN])),),
        f"dlcore train qa_squad --data {path}",
    )


def _answer(listed: str) -> str:
    """The first answer; "" where the text does not say."""
    return next((str(answer) for answer, _ in json.loads(listed)), "")


def _counts(found: Found) -> Table:
    splits = [split for split in SPLITS if split in found.splits]
    by_split = [[e for named, e in found.items() if named == split] for split in splits]
    without = [sum(not json.loads(e.values[2]) for e in each) for each in by_split]
    rows: tuple[tuple[str | float, ...], ...] = (
        ("questions", *map(len, by_split)),
        ("without an answer", *without),
    )
    return Table("Examples", ("", *splits), rows)


def _sizes(found: Found) -> Table:
    examples = [example for _, example in found.items()]
    answers = [_answer(e.values[2]) for e in examples if _answer(e.values[2])]
    columns = {
        "words of a question": [e.values[0] for e in examples],
        "words of a text": sorted({e.values[1] for e in examples}),
        "words of an answer": answers,
    }
    return sizes({name: [len(text.split()) for text in texts] for name, texts in columns.items()})
