"""Texts with classes and fixed splits: sentiment (sst2) and intents of a bank's customers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dlcore.data import split, tfds
from dlcore.data.sets import embedded, sentences
from dlcore.data.sets.sentences import SPECIALS, Labelled, LabelledClasses, plain
from dlcore.data.splits import Splits, is_offline
from dlcore.data.tokens import Subwords
from dlcore.data.words import words
from dlcore.errors import UsageError
from dlcore.options import DataSource

HELD_OUT = 0.1  # of the training texts of banking77, for validation


def load(
    name: str, source: DataSource, length: int, subwords: Subwords | None = None, rarest: int = 2
) -> Splits:
    """Loads texts with classes as splits of `Sentences`.

    Train has no text of the published test sets, nor has validation of banking77. Emits a
    UserWarning if texts of a user's are longer than a row.

    Args:
        name: "sst2" (phrases and sentences of film reviews; the further split `glue_dev` is GLUE's
            development set) or "banking77" (77 intents; validation is a tenth of train, of every
            intent).
        source: "published"; "offline", sentences of Python's documentation by topic, of 2 classes
            for sst2 and 11 for banking77; or a path to a user's texts with classes
            (`dlcore.data.own.texts`), for which `name` makes no difference.
        length: tokens of a row, see `sentences.padded`.
        subwords: the tokenizer, with the special tokens `SPECIALS`. None: tokens are words.
        rarest: without `subwords`, occurrences in train from which a word is in the vocabulary.

    Returns:
        Splits and facts as of `sentences.load`; `facts` also has `majority`, the index of the most
        frequent class of train.

    Raises:
        UsageError: another name, a set that is not prepared, or faults in a user's files.
    """
    sets = {"sst2": _sentiment, "banking77": _intents}
    if name not in sets:
        raise UsageError(f"{name!r} is no set of texts: choose {' or '.join(sets)}")
    facts: dict[str, object] = {}
    if isinstance(source, Path):
        infos, (labelled, classes), facts = sentences.own_texts(source)
    else:
        offline = is_offline(name, source)
        of = "documentation" if offline else name
        version = embedded.documentation_version() if offline else tfds.version(name)
        count = 2 if name == "sst2" else 11
        labelled, classes = documentation(count) if offline else sets[name]()
        infos = {each: (of, version, each) for each in labelled}
    texts, label = labelled["train"]
    subwords = subwords or words((plain(text) for text in texts), rarest, SPECIALS)
    majority = int(np.bincount(label).argmax())
    return sentences.encoded(infos, labelled, classes, subwords, length, majority=majority, **facts)


def documentation(count: int) -> LabelledClasses:
    """Returns sentences of Python's documentation by topic, in splits of 80, 10 and 10 percent.

    The splits (train, validation, test) have the same proportions of classes.

    Args:
        count: number of classes: with two, the sentences of the two largest topics; with more, the
            largest topics, and all others as the last class.

    Returns:
        {split: (texts, their classes int32)}, and the names of the classes.
    """
    texts, topic = sentences.documentation()
    classes = [f"topic {number}" for number in range(count)]
    if count == 2:
        texts = [text for text, each in zip(texts, topic, strict=True) if each < 2]
        label = topic[topic < 2]
    else:
        label, classes = np.minimum(topic, count - 1), [*classes[:-1], "other"]
    parts = sentences.cut(label, 10, 0)
    return _by_split(texts, label, parts), classes


def _sentiment() -> LabelledClasses:
    labelled = {}
    for each in ("train", "validation", "test", "glue_dev"):
        columns = tfds.columns("sst2", each, ["text", "label"])
        labelled[each] = columns["text"], np.array(columns["label"], np.int32)
    return labelled, list(tfds.class_names("sst2"))


def _intents() -> LabelledClasses:
    columns = {each: tfds.columns("banking77", each) for each in ("train", "test")}
    classes = sorted({*columns["train"]["intent"]})
    number = {name: i for i, name in enumerate(classes)}
    label = {
        each: np.array([number[intent] for intent in values["intent"]], np.int32)
        for each, values in columns.items()
    }
    texts = columns["train"]["text"]
    kept = np.flatnonzero(untested(texts, columns["test"]["text"]))
    texts, of_train = [texts[i] for i in kept], label["train"][kept]
    parts = split.stratified(of_train, HELD_OUT, 0)
    found = _by_split(texts, of_train, parts)
    return {**found, "test": (columns["test"]["text"], label["test"])}, classes


def untested(texts: list[str], tested: list[str]) -> list[bool]:
    """Returns for each text whether no tested text is the same, compared after `sentences.plain`.

    Args:
        texts: such as texts of train.
        tested: texts that are for test.
    """
    excluded = {plain(text) for text in tested}
    return [plain(text) not in excluded for text in texts]


def _by_split(texts: list[str], label: np.ndarray, parts: Mapping[str, np.ndarray]) -> Labelled:
    return {
        name: ([texts[i] for i in part], np.asarray(label[part], np.int32))
        for name, part in parts.items()
    }
