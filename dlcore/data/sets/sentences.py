"""English text as rows of tokens: packed for pretraining, or padded for classification."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32, Integer

from dlcore.data import marks, tfds, tokenizer
from dlcore.data.facts import Facts
from dlcore.data.own import left_out
from dlcore.data.own import texts as own
from dlcore.data.own.found import VERSION
from dlcore.data.sets import embedded
from dlcore.data.source import Arrays, arrays
from dlcore.data.splits import Splits, is_offline
from dlcore.data.tokens import Subwords
from dlcore.errors import UsageError
from dlcore.options import DataSource

SPECIALS = ("[pad]", "[sep]", "[mask]")  # models recognise padding by its index 0
_POLARITY = "sentence_polarity:1.0.1"  # 1.0.0 has letters with accents in the wrong encoding
_APART = r"(?:[^\w\s'MARKS]|_)[MARKS]*"  # see `marks.pattern`


def plain(text: str) -> str:
    """Normalises a text: lower case, one space before each word and punctuation mark, "don 't".

    Corpora with different conventions get the same spelling, in Unicode's form NFC. Combining marks
    stay with the character before them.
    """
    composed = unicodedata.normalize("NFC", text).lower()
    apart = marks.pattern(_APART, composed.isascii())
    spaced = apart.sub(r" \g<0> ", composed).replace("'", " '")
    return "".join(f" {word}" for word in spaced.split())


def lines(documents: Iterable[str]) -> list[str]:
    """Returns all lines of the documents that are not blank, normalised by `plain`."""
    spelt = (plain(line) for document in documents for line in document.splitlines())
    return [line for line in spelt if line]


def packed(
    subwords: Subwords, lines: Sequence[str], length: int, name: str = "the text"
) -> Int32[np.ndarray, "rows length"]:
    """Concatenates lines, with `[sep]` before each, and cuts them into rows without padding.

    Args:
        subwords: the tokenizer, with the special tokens `SPECIALS`.
        lines: text that the caller has normalised by `plain`, see `lines`.
        length: tokens of a row.
        name: of the text, in messages.

    Returns:
        int32 [rows, length]; the rest that does not fill a row is left out.

    Raises:
        UsageError: the text is shorter than a row.
    """
    sep = np.array([subwords.special("[sep]")], np.int32)
    stream = np.concatenate(
        [sep[:0], *(part for tokens in subwords.encode_all(lines) for part in (sep, tokens))]
    )
    if len(stream) < length:
        raise UsageError(
            f"{name} has {len(stream)} tokens, too few for a row of {length}: give more text, or"
            " a smaller --length"
        )
    return stream[: len(stream) // length * length].reshape(-1, length)


def padded(
    subwords: Subwords, texts: Sequence[str], length: int
) -> Int32[np.ndarray, "texts length"]:
    """Encodes one text per row, between two `[sep]`, truncated or padded with 0 at the right.

    Args:
        subwords: the tokenizer, with the special tokens `SPECIALS`.
        texts: in any spelling; this function normalises each by `plain`.
        length: tokens of a row, `[sep]` included; a truncated text has no second `[sep]`.

    Returns:
        int32 [texts, length].
    """
    return padded_and_left_out(subwords, texts, length)[0]


def padded_and_left_out(
    subwords: Subwords, texts: Sequence[str], length: int
) -> tuple[Int32[np.ndarray, "texts length"], list[int]]:
    """Returns the rows of `padded`, and the number of tokens of each text that were left out.

    Args:
        subwords, texts, length: as of `padded`.
    """
    sep, rows = subwords.special("[sep]"), np.zeros((len(texts), length), np.int32)
    encoded = subwords.encode_all([plain(text) for text in texts])
    for row, tokens in zip(rows, encoded, strict=True):
        kept = np.concatenate([[sep], tokens, [sep]])[:length]
        row[: len(kept)] = kept
    return rows, [max(0, len(tokens) + 1 - length) for tokens in encoded]


def documentation() -> tuple[list[str], Int32[np.ndarray, " sentences"]]:
    """Returns sentences of Python's documentation with the topic of each, int32 [sentences].

    Topics are numbered in descending order of their number of sentences.
    """
    topics = embedded.topics()
    found: dict[str, str] = {}  # topics share passages: a sentence belongs to the first that has it
    for topic in sorted(topics):
        for paragraph in re.split(r"\n\s*\n", topics[topic]):
            for sentence in re.split(r"(?<=[.!?:])\s+", " ".join(paragraph.split())):
                if len(sentence.split()) >= 5:
                    found.setdefault(sentence, topic)
    names, counts = np.unique(list(found.values()), return_counts=True)
    rank = {name: place for place, name in enumerate(names[np.argsort(-counts, kind="stable")])}
    return list(found), np.array([rank[topic] for topic in found.values()], np.int32)


def cut(
    label: Integer[np.ndarray, " n"], folds: int, fold: int
) -> dict[str, Integer[np.ndarray, " _"]]:
    """Splits examples by stratified folds: fold `fold` for test, the next for validation.

    Args:
        label: class of each example [n].
        folds: number of folds, at least 3; they are the same in every run.
        fold: which fold is the test.

    Returns:
        {split: indices of its examples}.

    Raises:
        ValueError: fewer than 3 folds, or `fold` is not one of them.
    """
    from sklearn.model_selection import StratifiedKFold

    if folds < 3 or not 0 <= fold < folds:
        raise ValueError(
            f"fold {fold} of {folds}: folds are counted from 0, and two of at least three are"
            " held out"
        )
    parts = [
        part for _, part in StratifiedKFold(folds, shuffle=True, random_state=0).split(label, label)
    ]
    test, validation = parts[fold], parts[(fold + 1) % folds]
    return {
        "train": np.setdiff1d(np.arange(len(label)), [*test, *validation]),
        "validation": validation,
        "test": test,
    }


@dataclasses.dataclass(frozen=True, eq=False)
class Sentences(Arrays):
    """Sentences with classes: `tokens` int32 [examples, length], and `label` int32 [examples].

    Attributes:
        texts: the sentence of each example.
    """

    texts: tuple[str, ...]


Labelled = Mapping[str, tuple[list[str], np.ndarray]]
"""{split: (texts, their classes int32)}."""
LabelledClasses = tuple[Labelled, Sequence[str]]
"""The texts, and the names of the classes."""


def load(name: str, source: DataSource, subwords: Subwords, length: int, fold: int = 0) -> Splits:
    """Loads sentences with classes as splits of `Sentences`.

    Emits a UserWarning if texts of a user's are longer than a row.

    Args:
        name: clinc_oos (150 intents, and "out of scope" as the last class), or sentence_polarity.
        source: "published"; "offline", sentences of Python's documentation by topic; or a path to
            a user's texts with classes (`dlcore.data.own.texts`).
        subwords: the tokenizer, with the special tokens `SPECIALS`.
        length: tokens of a row, see `padded`.
        fold: of sentence_polarity: which of ten folds, from 0, is the test; the next one is for
            validation, after the last the first. clinc_oos has splits of its own and ignores it.

    Returns:
        Splits of `tokens` int32 [length] and `label` int32; `facts` has `classes`, `tokenizer`,
        `vocabulary` and `length`; of clinc_oos `out_of_scope`, the index of that class; of own
        texts `by_hash`, the splits that were cut from train.

    Raises:
        UsageError: another name, a set that is not prepared, faults in a user's files, or a `fold`
            other than 0 with a path.
        ValueError: `fold` of sentence_polarity is not one of ten.
    """
    sets = {"clinc_oos": _clinc, "sentence_polarity": _polarity}
    if name not in sets:
        raise UsageError(f"{name!r} is no set of sentences: choose {' or '.join(sets)}")
    if isinstance(source, Path):
        if fold:
            raise UsageError(f"--fold {fold} is of the published set: leave it out with --data")
        infos, (labelled, classes), facts = own_texts(source)
        return encoded(infos, labelled, classes, subwords, length, **facts)
    offline = is_offline(name, source)
    labelled, classes = sets[name](offline, fold)
    prepared = _POLARITY if name == "sentence_polarity" else name
    version = embedded.documentation_version() if offline else tfds.version(prepared)
    of_fold = f" of fold {fold}" if name == "sentence_polarity" else ""
    of = "documentation" if offline else name
    infos = {split: (of, version, split + of_fold) for split in labelled}
    facts = {"out_of_scope": len(classes) - 1} if name == "clinc_oos" else {}
    return encoded(infos, labelled, classes, subwords, length, **facts)


def encoded(
    infos: Mapping[str, tuple[str, str, str]],
    labelled: Labelled,
    classes: Sequence[str],
    subwords: Subwords,
    length: int,
    **facts: object,
) -> Splits:
    """Encodes texts with classes as splits of `Sentences`.

    Emits a UserWarning if texts of a user's are longer than a row.

    Args:
        infos: {split: name, version and split of its data}.
        labelled: {split: (texts, their classes int32)}.
        classes: names of the classes.
        subwords: the tokenizer, with the special tokens `SPECIALS`.
        length: tokens of a row, see `padded`.
        facts: further facts, plain data.

    Returns:
        Splits of `tokens` int32 [length] and `label` int32; `facts` has `classes`, `tokenizer`,
        `vocabulary` (number of tokens), `length` and the further ones.
    """
    sources, longer = dict[str, Sentences](), dict[str, tuple[int, int]]()
    for split, each in labelled.items():
        sources[split], truncated = _source(infos[split], each, subwords, length)
        if infos[split][1] == VERSION:
            longer[split] = truncated, len(sources[split])
    rest = "what follows is not read; a larger --length reads more"
    left_out.warn("texts", longer, f"are longer than --length {length}: {rest}")
    return Splits.of(sources, facts=_facts(classes, subwords, length).with_facts(**facts))


def own_texts(
    path: Path,
) -> tuple[dict[str, tuple[str, str, str]], LabelledClasses, dict[str, Any]]:
    """Loads a user's texts with classes.

    Args:
        path: see `dlcore.data.own.texts`.

    Returns:
        {split: name, version and split}; texts with labels by split, and the names of the classes;
        further facts: `by_hash`, the splits that were cut from train.

    Raises:
        UsageError: a fault in the files.
    """
    found, classes = own.load(path)
    number = {name: i for i, name in enumerate(classes)}
    infos, labelled = {}, {}
    for split, examples in found.splits.items():
        label = np.array([number[example.values[1]] for example in examples], np.int32)
        labelled[split] = [example.values[0] for example in examples], label
        infos[split] = path.resolve().name, VERSION, found.named(split)
    return infos, (labelled, classes), {"by_hash": found.by_hash}


def _source(
    info: tuple[str, str, str],
    labelled: tuple[list[str], np.ndarray],
    subwords: Subwords,
    length: int,
) -> tuple[Sentences, int]:
    """One split, and how many of its texts are truncated; `info`: its name, version and split."""
    texts, label = labelled
    rows, rest = padded_and_left_out(subwords, texts, length)
    made = arrays(*info, {"tokens": rows, "label": label})
    return Sentences(made.arrays, made.info, tuple(texts)), sum(each > 0 for each in rest)


def _facts(classes: Sequence[str], subwords: Subwords, length: int) -> Facts:
    return Facts(
        classes=classes,
        tokenizer=tokenizer.to_facts(subwords),
        vocabulary=len(subwords),
        length=length,
    )


def _clinc(offline: bool, fold: int) -> LabelledClasses:
    if offline:
        texts, topic = documentation()
        label = np.minimum(topic, 10)
        classes = [*map("topic {}".format, range(10)), "other"]
        return _by_split(texts, label, cut(label, 10, 0)), classes
    read: dict[str, tuple[list[str], list[str]]] = {}
    for split in ("train", "validation", "test"):
        features = ["text", "intent_name"]
        inside = tfds.columns("clinc_oos", split, features)
        outside = tfds.columns("clinc_oos", f"{split}_oos", features)
        intents = inside["intent_name"] + ["out of scope"] * len(outside["text"])
        read[split] = inside["text"] + outside["text"], intents
    classes = [*sorted({*read["train"][1]} - {"out of scope"}), "out of scope"]
    number = {intent: i for i, intent in enumerate(classes)}
    labelled: dict[str, tuple[list[str], np.ndarray]] = {}
    for split, (texts, intents) in read.items():
        labelled[split] = texts, np.array([number[intent] for intent in intents], np.int32)
    return labelled, classes


def _polarity(offline: bool, fold: int) -> LabelledClasses:
    classes: Sequence[str]
    if offline:
        texts, label = documentation()
        texts = [text for text, topic in zip(texts, label, strict=True) if topic < 2]
        label, classes = label[label < 2], ("first topic", "second topic")
    else:
        name = _POLARITY
        columns = tfds.columns(name, "train", ["text", "label"])
        texts, label = columns["text"], np.array(columns["label"], np.int32)
        classes = tfds.class_names(name)
    return _by_split(texts, label, cut(label, 10, fold)), classes


def _by_split(
    texts: Sequence[str],
    label: np.ndarray,
    parts: dict[str, np.ndarray],
) -> dict[str, tuple[list[str], np.ndarray]]:
    return {split: ([texts[i] for i in part], label[part]) for split, part in parts.items()}
