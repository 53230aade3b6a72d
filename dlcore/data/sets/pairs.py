"""Sentence pairs for translation: published, artificial or a user's."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from dlcore.data import tfds, tokenizer
from dlcore.data.facts import Facts
from dlcore.data.own import left_out
from dlcore.data.own import pairs as own
from dlcore.data.own.found import VERSION
from dlcore.data.sets.pair_rows import SPECIALS, Corpus, PairRows, encoded, packed
from dlcore.data.splits import Splits, is_offline
from dlcore.data.tokens import Subwords, bpe
from dlcore.errors import UsageError
from dlcore.options import DataSource


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
