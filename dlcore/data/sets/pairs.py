"""Sentence pairs for translation: published, artificial or a user's, packed into rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int32, Integer

from dlcore.data import tfds, tokenizer
from dlcore.data.facts import Facts
from dlcore.data.own import left_out
from dlcore.data.own import pairs as own
from dlcore.data.own.found import VERSION
from dlcore.data.source import Arrays, arrays
from dlcore.data.splits import Splits, is_offline
from dlcore.data.tokens import Subwords, bpe
from dlcore.errors import UsageError
from dlcore.options import DataSource

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


def multi30k(source: str = "de", target: str = "en") -> Corpus:
    """Loads Multi30k, task 1: the splits train, validation and test (of 2016).

    Args:
        source, target: languages, "de" and "en" or the reverse.

    Raises:
        UsageError: it is not prepared (`dlcore prepare multi30k_en_de`).
    """
    name = "multi30k_en_de"
    texts = {
        split: tfds.columns(name, split, ["en", "de"]) for split in ("train", "validation", "test")
    }
    sides = (
        {split: columns[language] for split, columns in texts.items()}
        for language in (source, target)
    )
    return Corpus(name, tfds.version(name), *sides)


def synthetic(seed: int = 0, sizes: tuple[int, int, int] = (2000, 100, 100)) -> Corpus:
    """Generates two artificial languages; a dictionary and a change of order translate them.

    A source sentence is "noun adjective noun adjective verb", its translation "the adjective noun
    verb the adjective noun"; adjectives may be missing. No sentence is in two splits.

    Args:
        seed: of the words and sentences.
        sizes: number of pairs of train, validation and test.
    """
    draw = np.random.default_rng(seed)
    syllables = [consonant + vowel for consonant in "bdfgklmnprst" for vowel in "aeiou"]
    words = list(
        dict.fromkeys("".join(draw.choice(syllables, draw.integers(2, 4))) for _ in range(400))
    )[:160]
    nouns, verbs, adjectives = (
        np.reshape(words[at : at + 2 * n], (n, 2)) for at, n in ((0, 40), (80, 20), (120, 20))
    )
    made: dict[str, str] = {}
    while len(made) < sum(sizes):
        subject, thing = nouns[draw.integers(0, 40, 2)]
        verb, both = verbs[draw.integers(20)], adjectives[draw.integers(0, 20, 2)]
        # not every noun has an adjective
        first, second = ([tuple(each)] if draw.random() < 0.5 else [] for each in both)
        german = [subject[0], *(a for a, _ in first), thing[0], *(a for a, _ in second), verb[0]]
        said = [
            "the",
            *(a for _, a in first),
            subject[1],
            verb[1],
            "the",
            *(a for _, a in second),
            thing[1],
        ]
        made[" ".join(german)] = " ".join(said)
    cuts = np.cumsum((0, *sizes))
    parts = {
        split: slice(cuts[i], cuts[i + 1])
        for i, split in enumerate(("train", "validation", "test"))
    }
    sides = (
        {split: list(side)[part] for split, part in parts.items()}
        for side in (made.keys(), made.values())
    )
    return Corpus("made_up_languages", f"seed {seed}", *sides)


def joined(corpus: Corpus, size: int) -> Subwords:
    """Trains one byte-pair vocabulary for both languages, on the training sentences.

    Args:
        corpus: the sentences.
        size: number of tokens, the special tokens `SPECIALS` included.

    Raises:
        UsageError: as `dlcore.data.tokens.bpe`.
    """
    return bpe(
        [" " + text for side in (corpus.source, corpus.target) for text in side["train"]],
        size,
        SPECIALS,
    )


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
    place, rows = first_fit(sizes, length)
    out = {
        key: np.zeros((rows, length), np.int32)
        for key in ("source", "source_pair", "tokens", "targets", "pair")
    }
    used, count = np.zeros((rows, 2), int), np.zeros(rows, int)
    for (source, target), size, row in zip(pairs, sizes, place, strict=True):
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


def load(
    name: str,
    source: DataSource,
    vocabulary: int,
    length: int,
    longest: int = 0,
    *,
    reverse: bool = False,
) -> Splits:
    """Loads pairs of sentences as splits of packed rows, `PairRows`.

    Emits a UserWarning if pairs of a user's are longer than `longest`.

    Args:
        name: multi30k_en_de, German to English.
        source: "published"; "offline", two artificial languages; or a path to a user's pairs
            (`dlcore.data.own.pairs`).
        vocabulary: number of tokens of the byte-pair vocabulary of both languages, the 256 bytes
            and special tokens included.
        length: tokens of a row, at least; longer where a pair needs it.
        longest: training pairs of more tokens on a side, see `packed`, are left out; 0: none is.
        reverse: English to German; of own pairs, from the second side to the first.

    Returns:
        Splits; `facts` has `source_tokenizer` and `target_tokenizer`, which are the same,
        `vocabulary`, its size, `languages`, [source, target], and `longest_source`, the tokens of
        the longest source sentence of validation and test; of own pairs `by_hash`, the splits that
        were cut from train.

    Raises:
        UsageError: another name, a set that is not prepared, a vocabulary that is too small or too
            large for the texts, a split whose pairs are all too long, or faults in a user's files.
    """
    if name != "multi30k_en_de":
        raise UsageError(f"{name!r} is no set of sentence pairs: choose multi30k_en_de")
    languages = ("en", "de") if reverse else ("de", "en")
    more: dict[str, tuple[str, ...]] = {}
    if isinstance(source, Path):
        corpus, languages, more["by_hash"] = _own(source, reverse)
    elif is_offline(name, source):
        corpus, languages = synthetic(), ("artificial", "artificial")
    else:
        corpus = multi30k(*languages)
    subwords = joined(corpus, vocabulary)
    found: dict[str, PairRows] = {}
    for split in ("train", "validation", "test"):
        rows = packed(corpus, subwords, split, length, longest if split == "train" else 0)
        texts = tuple(corpus.source[split]), tuple(corpus.target[split])
        by_hash = split in more.get("by_hash", ())
        info = dataclasses.replace(rows.info, split=f"{split} by hash") if by_hash else rows.info
        found[split] = PairRows(rows.arrays, info, *texts)
    if isinstance(source, Path):
        _warn_of_longer(found["train"], longest)
    held_out = [*corpus.source["validation"], *corpus.source["test"]]
    facts = Facts(
        source_tokenizer=tokenizer.to_facts(subwords),
        target_tokenizer=tokenizer.to_facts(subwords),
        vocabulary=len(subwords),
        languages=languages,
        longest_source=max(map(len, encoded(subwords, held_out))),
        **more,
    )
    return Splits.of(found, facts=facts)


def _warn_of_longer(train: PairRows, longest: int) -> None:
    """Warns of pairs that no row has."""
    every, kept = len(train.source_texts), int(train.arrays["pair"].max(1).sum())
    rest = "tokens and left out; a larger --longest, or 0, keeps them"
    counts = {"train": (every - kept, every)}
    left_out.warn("pairs", counts, f"are longer than --longest {longest} {rest}")


def _own(path: Path, reverse: bool) -> tuple[Corpus, tuple[str, str], tuple[str, ...]]:
    """The pairs of a path, their languages, and the splits that were cut by hash."""
    found, languages = own.load(path), own.languages(path)
    sides = [
        {split: [e.values[side] for e in examples] for split, examples in found.splits.items()}
        for side in ((1, 0) if reverse else (0, 1))
    ]
    if reverse:
        languages = languages[1], languages[0]
    return Corpus(path.resolve().name, VERSION, *sides), languages, found.by_hash


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
    room, place, rows = np.full(sizes.T.shape, length), np.empty(len(sizes), int), 0
    for item, size in enumerate(sizes):
        place[item] = row = int(np.argmax((room[:, : rows + 1] >= size[:, None]).all(0)))
        room[:, row] -= size
        rows = max(rows, row + 1)
    return place, rows
