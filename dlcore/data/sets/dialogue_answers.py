"""Contexts of dialogues with their answers, and the answers to the most similar contexts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int32, Integer

from dlcore.data.own import left_out
from dlcore.data.own.dialogues import Dialogue, Message
from dlcore.data.sets.dialogues import Read, encoded, facts, learned, packed, read, turns
from dlcore.data.source import Arrays, arrays
from dlcore.data.splits import Splits
from dlcore.data.tokens import Subwords
from dlcore.errors import UsageError
from dlcore.options import DataSource

Turn = tuple[Dialogue, str]  # the messages before an answer, and its text


def answers(
    tokens: Subwords, found: Read, length: int, longest: int, count: int
) -> dict[str, Arrays]:
    """Returns examples of contexts and answers, `validation_answers` and `test_answers`.

    Args:
        tokens: the tokenizer, with the special tokens of `dialogues`.
        found: the dialogues.
        length: number of tokens of a prompt and its answer together.
        longest: largest number of tokens of an answer, fewer than `length`.
        count: largest number of examples of each split, evenly spaced.

    Returns:
        Sources of int32 fields: `prompt` [length - longest], the last tokens of the context up to
        the token that begins an answer, padded with 0 at the left; `padding` [], the number of
        these zeros; `reference` [longest], the true answer; `retrieved` [longest], the answer of
        the training dialogue whose last two messages are most similar (`retrieved`). Answers are
        truncated, or padded with 0 at the right.

    Raises:
        UsageError: train, validation or test has no answer to a message of the user.
    """
    known = _turns(found, "train")
    sources = {}
    for split in ("validation", "test"):
        every = _turns(found, split)
        chosen = [every[i] for i in _spread(len(every), count)]
        nearest = retrieved(known, chosen)
        prompts = [prompt(tokens, context, length - longest) for context, _ in chosen]
        padded = np.zeros((len(chosen), length - longest), np.int32)
        for row, each in zip(padded, prompts, strict=True):
            row[len(row) - len(each) :] = each
        contents = {
            "prompt": padded,
            "padding": (length - longest - np.array([len(p) for p in prompts])).astype(np.int32),
            "reference": _padded(tokens, [text for _, text in chosen], longest),
            "retrieved": _padded(tokens, [known[i][1] for i in nearest], longest),
        }
        name = f"{split}_answers"
        sources[name] = arrays(
            f"{found.name} answers", found.version, found.splits[split], contents
        )
    return sources


def _turns(found: Read, split: str) -> list[Turn]:
    """The answers to messages of the user. UsageError: there are none."""
    every = list(turns(found.dialogues[split]))
    if not every:
        raise UsageError(
            f"no message of the assistant follows one of the user in {found.name},"
            f" {found.splits[split]}: there is no answer to compare with; add dialogues, or give"
            " the splits yourself"
        )
    return every


def prompt(tokens: Subwords, context: Sequence[Message], length: int) -> Int32[np.ndarray, " some"]:
    """Encodes a context and the token that begins an answer; keeps the last `length` tokens.

    Args:
        tokens: the tokenizer, with the special tokens of `dialogues`.
        context: the messages before the answer.
        length: largest number of tokens, at least 1; the first tokens of a longer context are left
            out.

    Returns:
        Tokens, int32 [n] with n <= `length`; the last one is "<|assistant|>".
    """
    begin = np.array([tokens.special("<|assistant|>")], np.int32)
    return np.concatenate([encoded(tokens, context).tokens, begin])[-length:]


def retrieved(known: Sequence[Turn], queries: Sequence[Turn]) -> Integer[np.ndarray, " queries"]:
    """Finds for each turn the known turn with the most similar context.

    Similarity is the cosine of TF-IDF vectors of the words of the last two messages (Salton &
    Buckley 1988, by scikit-learn); the first of equal ones counts.

    Args:
        known: turns to choose from, at least one.
        queries: turns.

    Returns:
        Indices of known turns, int64 [queries].
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(token_pattern=r"\S+")
    vectors = words.fit_transform([_query(turn) for turn in known])
    similar = words.transform([_query(turn) for turn in queries]) @ vectors.T
    return np.asarray(similar.toarray().argmax(1), np.int64)


def _query(turn: Turn) -> str:
    return " ".join(message.content for message in turn[0][-2:])


def _spread(n: int, count: int) -> Integer[np.ndarray, " some"]:
    """At most `count` of the first n whole numbers, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, count)).round().astype(np.int64))


def _padded(
    tokens: Subwords, texts: Sequence[str], length: int
) -> Int32[np.ndarray, "texts length"]:
    out = np.zeros((len(texts), length), np.int32)
    for row, text in zip(out, tokens.encode_all(texts), strict=True):
        row[: len(text)] = text[:length]
    return out


def load(
    names: Sequence[str],
    source: DataSource,
    length: int,
    vocabulary: int,
    longest: int,
    count: int,
    pretrained: Subwords | None = None,
) -> Splits:
    """Loads dialogues as packed rows of tokens, and answers to compare with.

    Args:
        names, source: see `dialogues.read`.
        length: tokens of a row.
        vocabulary: number of tokens of a byte-pair vocabulary, the 256 bytes and special tokens
            included, which is learned from the training dialogues (offline at most 300).
        longest, count: see `answers`.
        pretrained: the tokenizer of a pretrained model, used instead of one that is learned;
            `vocabulary` is then ignored.

    Returns:
        Splits of packed rows (see `dialogues.rows`), and `validation_answers` and `test_answers`
        (see `answers`). `facts` as of `dialogues.facts`.

    Emits a UserWarning if own dialogues or answers are longer than `length` and `longest` tokens.

    Raises:
        UsageError: as `dialogues.read` and `answers`; a tokenizer without the chat template; or
            answers that leave no space for their context.
    """
    if longest >= length:
        raise UsageError(
            f"answers of {longest} tokens leave no space for their context in {length}: make them"
            " shorter, or the context longer"
        )
    found = read(names, source)
    tokens = pretrained or learned(found, vocabulary)
    splits = packed(found, tokens, length)  # checks the tokenizer
    if isinstance(source, Path):
        _warn_of_longer(found, tokens, length, longest)
    others = answers(tokens, found, length, longest, count)
    return Splits.of({**splits, **others}, facts=facts(tokens, found))


def _warn_of_longer(found: Read, tokens: Subwords, length: int, longest: int) -> None:
    """Warns of own dialogues that are longer than a row, and of answers that are cut."""
    dialogues, cut = {}, {}
    for split, every in found.dialogues.items():
        sizes = [len(encoded(tokens, dialogue).tokens) for dialogue in every]
        dialogues[split] = sum(size > length + 1 for size in sizes), len(every)
        written = tokens.encode_all([answer for _, answer in turns(every)])
        cut[split] = sum(len(each) > longest for each in written), len(written)
    rest = "are learned in parts, of which none has what is before it; a larger --context has more"
    left_out.warn("dialogues", dialogues, f"have more than --context {length} tokens: they {rest}")
    rest = "what follows is neither generated nor compared"
    left_out.warn("answers", cut, f"have more than --longest {longest} tokens: {rest}")
