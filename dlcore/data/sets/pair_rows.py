"""Rows of several sentence pairs each, for the training of translators."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int32, Integer

from dlcore.data.source import Arrays, arrays
from dlcore.data.tokens import Subwords
from dlcore.errors import UsageError

PAD, START, END = 0, 1, 2
SPECIALS = ("<pad>", "<s>", "</s>")


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Sentence pairs in two languages.

    Attributes:
        name, version: of the data set.
        source, target: {split: sentences}; pair i of a split is source[split][i] and
            target[split][i].
    """

    name: str
    version: str
    source: dict[str, list[str]]
    target: dict[str, list[str]]


def encoded(subwords: Subwords, texts: Sequence[str]) -> list[np.ndarray]:
    """Encodes sentences, each as int32 [tokens].

    A space is put in front, so that the first word has the same tokens as elsewhere in a sentence.

    Args:
        subwords: the vocabulary.
        texts: the sentences.
    """
    return subwords.encode_all([" " + text for text in texts])


def padded(
    sentences: Sequence[Integer[np.ndarray, " _"]], length: int = 0
) -> Int32[np.ndarray, "sentences length"]:
    """Pads sentences with PAD to one length.

    Args:
        sentences: tokens, int [tokens] each.
        length: of a row; 0: that of the longest sentence.

    Returns:
        int32 [sentences, length].

    Raises:
        ValueError: a sentence is longer than `length`.
    """
    longest = max(map(len, sentences))
    if length and longest > length:
        raise ValueError(f"a sentence of {longest} tokens does not fit into {length}")
    out = np.full((len(sentences), length or longest), PAD, np.int32)
    for row, sentence in zip(out, sentences, strict=True):
        row[: len(sentence)] = sentence
    return out


def packed(corpus: Corpus, subwords: Subwords, split: str, length: int, longest: int = 0) -> Arrays:
    """Packs the pairs of a split into rows of several pairs, first-fit in the order of the set.

    Args:
        corpus: the sentences.
        subwords: the vocabulary of both languages.
        split: which split.
        length: smallest number of columns, the same for source and target; the tokens of the
            longest pair where that is more.
        longest: pairs with more tokens than this in the source, or in the target with END, are left
            out; 0: none is.

    Returns:
        A source of rows, whose `arrays` are each [rows, length], int32 except `weight`: `source`
        and `source_pair`, tokens and the number (1, 2, ...) of their pair, 0 at padding; `tokens`,
        the target after START; `targets`, the target up to END; `pair`, the number of their pair;
        `weight`, float32, 1 at targets and 0 at padding.

    Raises:
        UsageError: the split has no pair, or all are too long.
    """
    pairs = list(
        zip(
            encoded(subwords, corpus.source[split]),
            encoded(subwords, corpus.target[split]),
            strict=True,
        )
    )
    sizes = np.array([(len(source), len(target) + 1) for source, target in pairs])
    if longest:
        pairs = [pair for pair, size in zip(pairs, sizes, strict=True) if size.max() <= longest]
        sizes = sizes[sizes.max(1) <= longest]
    if not pairs:
        raise UsageError(f"{corpus.name}/{split} has no pair of at most {longest} tokens")
    length = max(length, int(sizes.max()))
    row_of, rows = first_fit(sizes, length)
    out = {
        key: np.zeros((rows, length), np.int32)
        for key in ("source", "source_pair", "tokens", "targets", "pair")
    }
    used, count = np.zeros((rows, 2), int), np.zeros(rows, int)
    for (source, target), size, row in zip(pairs, sizes, row_of, strict=True):
        count[row] += 1
        here, there = (
            slice(start, start + more) for start, more in zip(used[row], size, strict=True)
        )
        out["source"][row, here], out["source_pair"][row, here] = source, count[row]
        out["tokens"][row, there] = [START, *target]
        out["targets"][row, there], out["pair"][row, there] = [*target, END], count[row]
        used[row] += size
    return arrays(
        corpus.name, corpus.version, split, {**out, "weight": (out["pair"] > 0).astype(np.float32)}
    )


@dataclasses.dataclass(frozen=True, eq=False)
class PairRows(Arrays):
    """Packed rows of sentence pairs.

    Attributes:
        source_texts, target_texts: all sentences of the split as text, in the order of the set;
            those of pairs that no row has are included.
    """

    source_texts: tuple[str, ...]
    target_texts: tuple[str, ...]


def first_fit(
    sizes: Integer[np.ndarray, "items sides"], length: int
) -> tuple[Integer[np.ndarray, " items"], int]:
    """Assigns items to rows by first-fit: each to the first row in which all its sides have space.

    Args:
        sizes: size of each item on each side [items, sides], none above `length`.
        length: capacity of a row on each side.

    Returns:
        The row of each item [items], and the number of rows.
    """
    space, row_of, rows = np.full(sizes.T.shape, length), np.empty(len(sizes), int), 0
    for item, size in enumerate(sizes):
        row_of[item] = row = int(np.argmax((space[:, : rows + 1] >= size[:, None]).all(0)))
        space[:, row] -= size
        rows = max(rows, row + 1)
    return row_of, rows
