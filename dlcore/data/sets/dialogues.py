"""Dialogues as packed rows of tokens with a chat template; only answers have weight in the loss."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32

from dlcore.data import source as sources
from dlcore.data import tfds, tokenizer
from dlcore.data.facts import Facts
from dlcore.data.own import dialogues as own
from dlcore.data.own.dialogues import ROLES, Dialogue, Message
from dlcore.data.own.found import VERSION
from dlcore.data.own.prepare_text import END
from dlcore.data.packing import pack
from dlcore.data.source import Source
from dlcore.data.splits import is_offline
from dlcore.data.tokens import Subwords, bpe
from dlcore.errors import UsageError
from dlcore.options import DataSource

TURN_END = "<|turn|>"  # after each message; the model stops an answer with it
SPECIALS = (END, TURN_END, *(f"<|{role}|>" for role in ROLES))
SPLITS = ("train", "validation", "test")
_OFFLINE_TOKENS = 300  # the synthetic dialogues have few pairs to merge


class Encoded(NamedTuple):
    """A dialogue as tokens.

    Attributes:
        tokens: int32 [n].
        answer: bool [n], True for what the model has to write: the text of each message of the
            assistant and the token that ends it.
    """

    tokens: Int32[np.ndarray, " n"]
    answer: Bool[np.ndarray, " n"]


def encoded(tokens: Subwords, dialogue: Sequence[Message]) -> Encoded:
    """Encodes a dialogue: END, then of each message the token of its role, its text and TURN_END.

    Args:
        tokens: the tokenizer, with the special tokens `SPECIALS`.
        dialogue: its messages.
    """
    parts, answers = [np.array([tokens.special(END)], np.int32)], [np.zeros(1, bool)]
    end = np.array([tokens.special(TURN_END)], np.int32)
    for message in dialogue:
        role = np.array([tokens.special(f"<|{message.role}|>")], np.int32)
        written = tokens.encode(message.content)
        parts += [role, written, end]
        answers.append(np.zeros(1, bool))
        answers.append(np.full(len(written) + 1, message.role == "assistant"))
    return Encoded(np.concatenate(parts), np.concatenate(answers))


def rows(
    tokens: Subwords, dialogues: Sequence[Sequence[Message]], length: int
) -> dict[str, np.ndarray]:
    """Packs dialogues into rows, in segments that attention separates (`dlcore.data.packing.pack`).

    Args:
        tokens: the tokenizer, with the special tokens `SPECIALS`.
        dialogues: at least one.
        length: tokens of a row.

    Returns:
        `tokens`, `targets`, `segment`, `position` int32, and `weight` and `bytes` float32, each
        [rows, length]. The weight is 1 on targets that the assistant writes, else 0; `bytes` is the
        number of bytes of each target.
    """
    both = [encoded(tokens, dialogue) for dialogue in dialogues]
    packed = pack([each.tokens for each in both], length)
    # documents of the same lengths are packed alike
    answer = pack([each.answer.astype(np.int32) for each in both], length)["targets"]
    size = tokens.bytes().astype(np.float32)
    return {
        **packed,
        "weight": packed["weight"] * answer.astype(np.float32),
        "bytes": size[packed["targets"]],
    }


def turns(dialogues: Sequence[Sequence[Message]]) -> Iterator[tuple[Dialogue, str]]:
    """Yields (preceding messages, text) of each answer of the assistant to the user's message."""
    for dialogue in dialogues:
        for i in range(1, len(dialogue)):
            if dialogue[i].role == "assistant" and dialogue[i - 1].role == "user":
                yield list(dialogue[:i]), dialogue[i].content


@dataclasses.dataclass(frozen=True)
class Read:
    """Dialogues by split, before they are tokenised.

    Attributes:
        name, version: of the data.
        dialogues: {split: dialogues}.
        splits: {split: its name in `Info`}; "test by hash" if the hash cut it from train.
        offline: whether they are synthetic.
    """

    name: str
    version: str
    dialogues: dict[str, list[Dialogue]]
    splits: dict[str, str]
    offline: bool = False


def read(names: Sequence[str], source: DataSource) -> Read:
    """Reads the dialogues of prepared sets, of a user's files, or synthetic ones.

    Args:
        names: prepared sets with a column `messages`, such as sgd_dialogue and taskmaster4; each
            split is that of all of them, in this order. Only "published" reads them.
        source: "published"; "offline", for `synthetic`; or the path of a user's files, see
            `dlcore.data.own.dialogues.load`.

    Returns:
        The dialogues of train, validation and test, not yet tokenised.

    Raises:
        UsageError: a set that is not prepared, faults in a user's files, or another source.
    """
    if isinstance(source, Path):
        found, dialogues = own.load(source)
        named = {split: found.named(split) for split in dialogues}
        return Read(source.resolve().name, VERSION, dialogues, named)
    plain = {split: split for split in SPLITS}
    title = "+".join(names)
    if is_offline(title, source):
        return Read("synthetic orders", "1", synthetic(), plain, offline=True)
    columns = {
        split: [tfds.columns(name, split, ["messages"])["messages"] for name in names]
        for split in SPLITS
    }
    dialogues = {
        split: [own.parse(text) for texts in parts for text in texts]
        for split, parts in columns.items()
    }
    return Read(title, "+".join(tfds.version(name) for name in names), dialogues, plain)


def packed(found: Read, tokens: Subwords, length: int) -> dict[str, Source]:
    """Returns {split: packed rows of the dialogues}, see `rows`.

    Args:
        found: the dialogues.
        tokens: the tokenizer.
        length: tokens of a row.

    Raises:
        UsageError: the tokenizer lacks the special tokens `SPECIALS`.
    """
    check(tokens)
    return {
        split: sources.arrays(
            found.name, found.version, found.splits[split], rows(tokens, dialogues, length)
        )
        for split, dialogues in found.dialogues.items()
    }


def check(tokens: object) -> None:
    """Raises UsageError if a tokenizer is not `Subwords` whose first specials are `SPECIALS`."""
    if not isinstance(tokens, Subwords):
        raise UsageError(
            f"the pretrained model reads {type(tokens).__name__}, and dialogues need byte pairs:"
            " pretrain with gpt_english"
        )
    if tokens.specials[: len(SPECIALS)] != SPECIALS:
        raise UsageError(
            f"the tokenizer has the special tokens {', '.join(tokens.specials) or '(none)'}, and"
            f" dialogues need {', '.join(SPECIALS)}: pretrain with gpt_english, on texts and not on"
            " prepared tokens"
        )


def learned(found: Read, vocabulary: int) -> Subwords:
    """Trains byte pairs on the training dialogues, with the special tokens `SPECIALS`.

    Args:
        found: the dialogues.
        vocabulary: number of tokens; of offline data at most 300.

    Raises:
        UsageError: as `dlcore.data.tokens.bpe`.
    """
    texts = (message.content for each in found.dialogues["train"] for message in each)
    size = min(vocabulary, _OFFLINE_TOKENS) if found.offline else vocabulary
    return bpe(texts, size, SPECIALS)


def facts(tokens: Subwords, found: Read) -> Facts:
    """Returns the facts of dialogues: `tokenizer`, `vocabulary` (its size) and `offline`."""
    return Facts(
        tokenizer=tokenizer.to_facts(tokens), vocabulary=len(tokens), offline=found.offline
    )


def synthetic(seed: int = 0) -> dict[str, list[Dialogue]]:
    """Draws synthetic orders: the assistant repeats what is ordered, and says goodbye.

    Args:
        seed: of the draws.

    Returns:
        {split: dialogues of four messages}: 400 of train, 40 of validation and 40 of test, with
        orders that the other splits lack.
    """
    generator = np.random.default_rng(seed)
    things = ("coffee", "tea", "soup", "cake", "juice", "bread", "salad", "pasta")
    names = ("Ann", "Bob", "Cleo", "Dan", "Eve", "Finn", "Gina", "Hugo")

    orders = list(itertools.product(("one", "two", "three", "four"), things, names))
    generator.shuffle(orders)
    held_out = {"validation": orders[:32], "test": orders[32:64]}

    def one(split: str) -> Dialogue:
        possible = held_out.get(split, orders[64:])
        count, thing, name = possible[generator.integers(len(possible))]
        return [
            Message("user", f"I would like {count} {thing} for {name}."),
            Message("assistant", f"Sure, {count} {thing} for {name}. Is that right?"),
            Message("user", "Yes, thank you."),
            Message("assistant", f"Goodbye, {name}!"),
        ]

    sizes = {"train": 400, "validation": 40, "test": 40}
    return {split: [one(split) for _ in range(size)] for split, size in sizes.items()}
