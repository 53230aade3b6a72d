"""Answers in dialogues that people labelled right or wrong, one per row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dlcore.data import source as sources
from dlcore.data import tfds
from dlcore.data.own import dialogues as own
from dlcore.data.own import left_out
from dlcore.data.own.dialogues import Dialogue, Message
from dlcore.data.own.found import VERSION
from dlcore.data.sets import dialogues
from dlcore.data.sets.dialogues import SPLITS, Read
from dlcore.data.source import Source
from dlcore.data.splits import Splits, is_offline
from dlcore.data.tokens import Subwords
from dlcore.errors import UsageError
from dlcore.options import DataSource

Rewarded = tuple[Dialogue, int]  # the answer is the last message; 1: right, 0: wrong


def load(
    name: str,
    source: DataSource,
    length: int,
    vocabulary: int,
    pretrained: Subwords | None = None,
) -> Splits:
    """Loads labelled answers, each with its context and with an answer to another context.

    Args:
        name: taskmaster4_rewards.
        source: "published"; "offline", synthetic orders, every second of which is answered with
            another order and labelled wrong; or a path of JSON lines with `messages` and `reward`
            (`own.dialogues.load_rewarded`).
        length: tokens of a row; of a longer context and answer the last ones are kept.
        vocabulary: number of tokens of a byte-pair vocabulary, the 256 bytes and special tokens
            included, which is learned from the training split (offline at most 300).
        pretrained: the tokenizer of a pretrained model, used instead of one that is learned;
            `vocabulary` is then ignored.

    Returns:
        Splits of `tokens`, `targets` int32 and `weight` float32 [length], the weight 1 on the
        answer; `other_tokens`, `other_targets`, `other_weight`, the same of the context with the
        answer of another example of the split; `desirable`, float32 [], 1 where the answer is
        right; and `dialogue`, int32 [], the same number for answers in dialogues that begin with
        the same message of the user (`own.dialogues.begins`). `facts` as of `dialogues.facts`.

    Raises:
        UsageError: the set is not prepared; faults in files of one's own, or a split of them
            without right or without wrong answers; or a tokenizer without the chat template.
    """
    found, rewarded = read(name, source)
    for split, rows in rewarded.items():
        if len({reward for _, reward in rows}) < 2:
            raise UsageError(
                f"{found.name}, {found.splits[split]}: its {len(rows)} answers are all right or all"
                " wrong: each split needs both, so add answers, or give the splits yourself"
            )
    tokens = pretrained or dialogues.learned(found, vocabulary)
    dialogues.check(tokens)
    if isinstance(source, Path):
        warn_of_longer(found, tokens, length)
    splits: dict[str, Source] = {
        split: sources.arrays(
            found.name, found.version, found.splits[split], _rows(tokens, rows, length)
        )
        for split, rows in rewarded.items()
    }
    return Splits.of(splits, facts=dialogues.facts(tokens, found))


def warn_of_longer(found: Read, tokens: Subwords, length: int) -> None:
    """Emits a UserWarning if dialogues have more than `length` tokens, whose first are not read."""
    longer = {
        split: (
            sum(len(dialogues.encoded(tokens, each).tokens) > length + 1 for each in every),
            len(every),
        )
        for split, every in found.dialogues.items()
    }
    rest = f"have more than --context {length} tokens with what is before them: the last are read"
    left_out.warn("answers", longer, rest)


def read(
    name: str, source: DataSource, divided: bool = True
) -> tuple[Read, dict[str, list[Rewarded]]]:
    """Reads labelled answers.

    Args:
        name, source: see `load`.
        divided: whether splits that one's own files lack are cut from train.

    Returns:
        The dialogues, each with its answer as last message; and {split: [(dialogue, label)]}, the
        label 1 for a right answer and 0 for a wrong one.

    Raises:
        UsageError: the set is not prepared, or faults in files of one's own.
    """
    if isinstance(source, Path):
        given, rewarded = own.load_rewarded(source, divided)
        contexts = {split: [each for each, _ in rows] for split, rows in rewarded.items()}
        named = {split: given.named(split) for split in rewarded}
        return Read(source.resolve().name, VERSION, contexts, named), rewarded
    offline = is_offline(name, source)
    rewarded = _synthetic() if offline else {split: _of(name, split) for split in SPLITS}
    version = "1" if offline else tfds.version(name)
    title = "synthetic orders, labelled" if offline else name
    contexts = {split: [each for each, _ in rows] for split, rows in rewarded.items()}
    return Read(title, version, contexts, {split: split for split in SPLITS}, offline), rewarded


def _of(name: str, split: str) -> list[Rewarded]:
    columns = tfds.columns(name, split, ["messages", "reward"])
    both = zip(columns["messages"], columns["reward"], strict=True)
    return [(own.parse(text), int(reward)) for text, reward in both]


def _rows(tokens: Subwords, rewarded: Sequence[Rewarded], length: int) -> dict[str, np.ndarray]:
    answers = [each[-1] for each, _ in rewarded]
    # the next one of a random order: neighbouring examples may be of the same dialogue
    order = np.random.default_rng(0).permutation(len(answers))
    others = [answers[i] for i in np.roll(order, 1)[np.argsort(order)]]
    own_rows = encoded(tokens, [each for each, _ in rewarded], length)
    mixed = [[*each[:-1], other] for (each, _), other in zip(rewarded, others, strict=True)]
    other_rows = encoded(tokens, mixed, length)
    desirable = np.array([reward for _, reward in rewarded], np.float32)
    number: dict[str, int] = {}
    group = [number.setdefault(own.begins(each), len(number)) for each, _ in rewarded]
    return {
        **own_rows,
        **{f"other_{name}": array for name, array in other_rows.items()},
        "desirable": desirable,
        "dialogue": np.array(group, np.int32),
    }


def encoded(tokens: Subwords, found: Sequence[Dialogue], length: int) -> dict[str, np.ndarray]:
    """Encodes one dialogue per row for next-token prediction, with the weight on its last message.

    Args:
        tokens: the tokenizer, with the special tokens of `dialogues`.
        found: dialogues of at least one message.
        length: tokens of a row; of longer dialogues the last ones are kept.

    Returns:
        `tokens` and `targets` int32, padded with 0 at the right, and `weight` float32, 1 where the
        target is a token of the last message or ends it; each [dialogues, length].
    """
    out = {name: np.zeros((len(found), length), np.int32) for name in ("tokens", "targets")}
    weight = np.zeros((len(found), length), np.float32)
    for i, dialogue in enumerate(found):
        ids = dialogues.encoded(tokens, dialogue).tokens
        size = len(tokens.encode(dialogue[-1].content)) + 1
        ids, n = ids[-length - 1 :], min(len(ids) - 1, length)
        out["tokens"][i, :n], out["targets"][i, :n] = ids[:-1], ids[1:]
        weight[i, max(0, n - size) : n] = 1
    return {**out, "weight": weight}


def _synthetic() -> dict[str, list[Rewarded]]:
    """The synthetic orders; every second is answered for another one, and labelled wrong."""
    found = {}
    for split, every in dialogues.synthetic().items():
        rewarded: list[Rewarded] = []
        for i, each in enumerate(every):
            wrong = i % 2 == 1 and every[i - 1][1] != each[1]
            answer = every[i - 1][1] if wrong else each[1]
            rewarded.append(([each[0], Message("assistant", answer.content)], int(not wrong)))
        found[split] = rewarded
    return found
