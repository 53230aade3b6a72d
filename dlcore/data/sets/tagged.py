"""Sentences with a tag of each word: named entities, parts of speech, requests with slots."""

from __future__ import annotations

import collections
import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dlcore.data import tfds, tokenizer
from dlcore.data.facts import Facts
from dlcore.data.own import tagged as own
from dlcore.data.own.found import VERSION
from dlcore.data.own.tagged import Tagged, of_words
from dlcore.data.sets import sentences, synthetic_tags
from dlcore.data.sets.synthetic_tags import Kind
from dlcore.data.source import Arrays, arrays
from dlcore.data.splits import Splits, is_offline
from dlcore.data.tag_schemes import OUTSIDE, to_bio
from dlcore.data.tokens import Subwords
from dlcore.errors import UsageError
from dlcore.options import DataSource

PAD, UNKNOWN = 0, 1
SPLITS = ("train", "validation", "test")
KINDS: Mapping[str, Kind] = {
    "conll2003_en": "names",
    "wnut17": "names",
    "atis": "requests",
    "universal_dependencies/en_ewt": "parts",
}
_SUBWORDS = 4  # subwords of a word at most, on average over a sentence


@dataclasses.dataclass(frozen=True, eq=False)
class TaggedSentences(Arrays):
    """Sentences as words, characters and tags; one of more than `length` words is several rows.

    Its fields are those of `load`.

    Attributes:
        sentences: each sentence, with its own words, tags and offsets.
        rows: number of rows of each sentence, which follow each other.
    """

    sentences: tuple[Tagged, ...] = ()
    rows: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Encoder:
    """Encodes words as the arrays that a tagger reads.

    Attributes:
        words: index of each word, in the spelling of `normal`; other words are `UNKNOWN`.
        characters: index of each character; others are `UNKNOWN`.
        length: words of a row.
        word_length: characters of a word; of a longer one the first and the last half are kept.
        subwords: tokenizer of a pretrained encoder that reads the same text; None: there is none.
    """

    words: Mapping[str, int]
    characters: Mapping[str, int]
    length: int
    word_length: int
    subwords: Subwords | None = None

    @classmethod
    def of(cls, facts: Facts) -> Encoder:
        """Returns the encoder of the training data, from the facts of `load`."""
        words, characters = (
            {each: i for i, each in enumerate(names, 2)}
            for names in (facts.words, facts.characters)
        )
        given = facts.get("tokenizer")
        subwords = tokenizer.from_facts(given) if given else None
        return cls(words, characters, facts.length, facts.word_length, subwords)

    def rows(self, count: int) -> int:
        """Returns the number of rows of a sentence of `count` words."""
        return -(-count // self.length)

    def encode(self, texts: Sequence[Sequence[str]]) -> dict[str, np.ndarray]:
        """Encodes sentences, each of them at least one word long.

        Args:
            texts: the words of each sentence.

        Returns:
            Arrays with a row per `length` words of a sentence, 0 at padding: `words` int32 [rows,
            length]; `characters` int32 [rows, length, word_length]; `length` int32 [rows], the
            number of words. With subwords also `tokens` int32 [rows, 4 length], between two
            "[sep]", and `first` int32 [rows, length], the position of each word's first subword;
            where all subwords do not fit, later words of the row keep their first one only.
        """
        segments = [
            text[start : start + self.length]
            for text in texts
            for start in range(0, len(text), self.length)
        ]
        words = np.zeros((len(segments), self.length), np.int32)
        characters = np.zeros((*words.shape, self.word_length), np.int32)
        for row, segment in enumerate(segments):
            for column, word in enumerate(segment):
                words[row, column] = self.words.get(normal(word), UNKNOWN)
                short = self._short(word)
                numbers = [self.characters.get(each, UNKNOWN) for each in short]
                characters[row, column, : len(short)] = numbers
        length = np.array([len(segment) for segment in segments], np.int32)
        found = {"words": words, "characters": characters, "length": length}
        return found if self.subwords is None else {**found, **self._subwords(segments)}

    def _short(self, word: str) -> str:
        if len(word) <= self.word_length:
            return word
        half = self.word_length // 2
        return word[: self.word_length - half] + word[-half:]

    def _subwords(self, segments: Sequence[Sequence[str]]) -> dict[str, np.ndarray]:
        assert self.subwords is not None
        sep, most = self.subwords.special("[sep]"), _SUBWORDS * self.length
        tokens = np.zeros((len(segments), most), np.int32)
        first = np.zeros((len(segments), self.length), np.int32)
        for row, segment in enumerate(segments):
            encoded = self.subwords.encode_all([sentences.plain(word) or " ?" for word in segment])
            spare = most - 2 - len(segment)  # each word keeps its first subword
            stream = [sep]
            for column, each in enumerate(encoded):
                kept = each[: 1 + min(spare, len(each) - 1)]
                spare -= len(kept) - 1
                first[row, column] = len(stream)
                stream += kept.tolist()
            tokens[row, : len(stream) + 1] = [*stream, sep]
        return {"tokens": tokens, "first": first}


def normal(word: str) -> str:
    """Returns a word in lower case, with 0 for every digit."""
    return "".join("0" if each.isdigit() else each for each in word.lower())


def load(
    name: str,
    source: DataSource,
    length: int = 48,
    word_length: int = 16,
    rarest: int = 2,
    subwords: Subwords | None = None,
) -> Splits:
    """Loads sentences with a tag of each word.

    Args:
        name: one of `KINDS`.
        source: "published"; "offline": `synthetic_tags`; a path: `dlcore.data.own.tagged`.
        length: words of a row; a longer sentence is several rows, tagged one by one.
        word_length: characters of a word that are read; of a longer one the first and last half.
        rarest: occurrences in training from which a word is in the vocabulary.
        subwords: tokenizer of a pretrained encoder; None: words and characters alone are read.

    Returns:
        Splits of `TaggedSentences`: the arrays of `Encoder.encode`; `tags` int32 [rows, length],
        indices in `classes`, 0 at padding; and where train has several intents (requests only)
        `label` int32 [rows], the index in `intents` of the sentence's intent. A tag or intent that
        train lacks is -1, which the loss of tagging expects; `sentences` keep its name. `facts` has
        `words`, `characters`, `length`, `word_length`, `classes` (the tags: where they mark spans,
        "O", and B and I of each type), `spans` (whether tags mark spans), `intents` ([] where there
        are not several), `by_hash` (names of the splits that a path lacked, which were cut from
        train by hash), and with subwords `tokenizer` and `vocabulary`, its size.

    Emits a UserWarning if own files have tags or intents of which train has none.

    Raises:
        UsageError: another name, a set that is not prepared, one tag only in train, or faults in
            own files.
    """
    if name not in KINDS:
        raise UsageError(
            f"{name!r} is no set of tagged sentences: choose one of {', '.join(KINDS)}"
        )
    kind = KINDS[name]
    by_hash: tuple[str, ...] = ()
    if isinstance(source, Path):
        given = own.load(source, kind != "parts", kind == "requests")
        found: Mapping[str, Sequence[Tagged]] = given.splits
        info, by_hash = (source.resolve().name, VERSION), given.by_hash
    elif is_offline(name, source):
        found, info = synthetic_tags.sentences(kind), (f"synthetic {kind}", "seed 0")
    else:
        found, info = _published(name, kind), (name.replace("/", "_"), tfds.version(name))
    facts = _facts(found, kind, length, word_length, rarest, subwords)
    if isinstance(source, Path):
        _warn_of_unknown(found, facts)
    encoder = Encoder.of(facts)
    sources = {
        split: _source((*info, _named(split, by_hash)), each, encoder, facts)
        for split, each in found.items()
    }
    return Splits.of(sources, facts=facts.with_facts(by_hash=by_hash))


def _warn_of_unknown(found: Mapping[str, Sequence[Tagged]], facts: Facts) -> None:
    """Warns of tags and intents that train lacks."""
    for split in SPLITS[1:]:
        tags = collections.Counter(tag for each in found[split] for tag in each.tags)
        names = collections.Counter(each.label for each in found[split] if facts.intents)
        for kind, counts, known in (
            ("tags", tags, facts.classes),
            ("intents", names, facts.intents),
        ):
            lacking = {name: count for name, count in counts.items() if name not in known}
            if lacking:
                warnings.warn(
                    f"{sum(lacking.values()):,} {kind} of {split} do not occur in train, and count"
                    f" as wrong: {', '.join(sorted(lacking))}",
                    stacklevel=3,
                )


def _named(split: str, by_hash: Sequence[str]) -> str:
    return f"{split} by hash" if split in by_hash else split


def _published(name: str, kind: Kind) -> dict[str, list[Tagged]]:
    return {split: (_parts if kind == "parts" else _spans)(name, split) for split in SPLITS}


def _parts(name: str, split: str) -> list[Tagged]:
    """Words with parts of speech; "don't" is "do" and "n't", and does not count a third time."""
    columns = tfds.columns(name, "dev" if split == "validation" else split, ["tokens", "upos"])
    classes = tfds.class_names(name, "upos")
    found = []
    for words, numbers in zip(columns["tokens"], columns["upos"], strict=True):
        both = [(w, classes[n]) for w, n in zip(words, numbers, strict=True) if classes[n] != "_"]
        found.append(of_words([word for word, _ in both], [tag for _, tag in both]))
    return found


def _spans(name: str, split: str) -> list[Tagged]:
    columns = tfds.columns(name, split, ["words", "tags", "label"])
    return [
        of_words(words.split(" "), to_bio(tags.split(" ")), label)
        for words, tags, label in zip(
            columns["words"], columns["tags"], columns["label"], strict=True
        )
    ]


def _facts(
    found: Mapping[str, Sequence[Tagged]],
    kind: Kind,
    length: int,
    word_length: int,
    rarest: int,
    subwords: Subwords | None,
) -> Facts:
    train = found["train"]
    counts = collections.Counter(normal(word) for each in train for word in each.words)
    classes = sorted({tag for each in train for tag in each.tags})
    if kind != "parts":
        types = sorted({tag[2:] for tag in classes if tag != OUTSIDE})
        classes = [OUTSIDE, *(f"{prefix}-{each}" for each in types for prefix in "BI")]
    if len(classes) < 2:
        raise UsageError("all words of train have the same tag: a tagger needs two at least")
    labels = {each.label for each in train} if kind == "requests" else set()
    intents = sorted(labels) if len(labels) > 1 else []
    facts = Facts(
        words=sorted(word for word, count in counts.items() if count >= rarest),
        characters=sorted({letter for each in train for letter in each.text}),
        classes=classes,
        spans=kind != "parts",
        intents=intents,
        length=length,
        word_length=word_length,
    )
    if subwords is None:
        return facts
    return facts.with_facts(tokenizer=tokenizer.to_facts(subwords), vocabulary=len(subwords))


def _source(
    info: tuple[str, str, str], found: Sequence[Tagged], encoder: Encoder, facts: Facts
) -> TaggedSentences:
    contents: dict[str, Any] = encoder.encode([each.words for each in found])
    rows = [encoder.rows(len(each.words)) for each in found]
    number = {tag: i for i, tag in enumerate(facts.classes)}
    tags = np.zeros_like(contents["words"])
    row = 0
    for each, count in zip(found, rows, strict=True):
        numbers = np.array([number.get(tag, -1) for tag in each.tags], np.int32)
        for segment in range(count):
            part = numbers[segment * encoder.length : (segment + 1) * encoder.length]
            tags[row + segment, : len(part)] = part
        row += count
    contents["tags"] = tags
    if facts.intents:
        known = {name: i for i, name in enumerate(facts.intents)}
        label = np.array([known.get(each.label, -1) for each in found], np.int32)
        contents["label"] = np.repeat(label, rows)
    made = arrays(*info, contents)
    return TaggedSentences(made.arrays, made.info, tuple(found), tuple(rows))
