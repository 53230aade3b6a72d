"""Summarises a user's dialogues: counts, lengths, duplicates and faults."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dlcore.data.own import dialogues, files
from dlcore.data.own.dialogues import ROLES, Dialogue
from dlcore.data.own.found import SPLITS, Found, first_values
from dlcore.data.own.summary import SHOWN, Summary, duplicates, short, sizes
from dlcore.errors import UsageError
from dlcore.samples import Table

_TUNED = "chat_preference --pretrained runs/chat_dialogues/001"  # begins with a run


def summary(path: Path) -> Summary:
    """Reads all dialogues of a path, and summarises them.

    Args:
        path: see `dlcore.data.own.dialogues.find`.

    Raises:
        UsageError: there are no dialogues.
    """
    rewarded = _has_rewards(path)
    found = dialogues.find(path, rewarded)
    if not any(found.splits.values()):
        found.refuse()
        raise UsageError(f"{path} holds no dialogues")
    found.divide(dialogues.beginnings if rewarded else first_values)
    every = [dialogues.parse(example.values[0]) for _, example in found.items()]
    lines = [f"dialogues that can be read: {len(every):,}, messages: {sum(map(len, every)):,}"]
    if rewarded:
        right = sum(example.values[1] == "1" for _, example in found.items())
        lines.append(f"labelled answers: {right:,} right, {len(every) - right:,} wrong")
    if found.by_hash:
        key = "user's first message" if rewarded else "dialogue"
        lines.append(f"cut from train by the hash of the {key}: {' and '.join(found.by_hash)}")
    same = duplicates(
        (split, example.where, example.values[0], "") for split, example in found.items()
    )
    if not same:
        lines.append("no two of them are the same")
    shown = [
        (short(" ".join(f"{each.role}: {each.content}" for each in dialogue)),)
        for dialogue in every[:SHOWN]
    ]
    return Summary(
        path,
        tuple(lines),
        tuple(dict.fromkeys(found.problems)),
        (_counts(found), _sizes(every), *same),
        (Table("A few of them", ("dialogue",), tuple(shown)),),
        f"dlcore train {_TUNED if rewarded else 'chat_dialogues'} --data {path}",
    )


def _has_rewards(path: Path) -> bool:
    """Whether the first dialogue of each file has a `reward`."""
    every = [path] if path.is_file() else files.below(path)
    found = [each for each in every if each.suffix.lower() == ".jsonl"]
    try:
        return bool(found) and all(dialogues.has(each, "reward") for each in found)
    except UsageError:  # a file that cannot be read, which `dialogues.find` lists
        return False


def _counts(found: Found) -> Table:
    """Dialogues and messages of each role, by split."""
    splits = [split for split in SPLITS if split in found.splits]
    by_split = [
        [dialogues.parse(example.values[0]) for example in found.splits[split]] for split in splits
    ]
    rows: list[tuple[str | float, ...]] = [("dialogues", *map(len, by_split))]
    for role in ROLES:
        counts = [sum(m.role == role for d in each for m in d) for each in by_split]
        if any(counts):
            rows.append((f"messages of the role {role}", *counts))
    return Table("Examples", ("", *splits), tuple(rows))


def _sizes(every: Sequence[Dialogue]) -> Table:
    columns = {"messages of a dialogue": [len(dialogue) for dialogue in every]}
    for role in ROLES:
        words = [len(m.content.split()) for dialogue in every for m in dialogue if m.role == role]
        if words:
            columns[f"words of the role {role}"] = words
    return sizes(columns)
