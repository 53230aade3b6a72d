"""English as rows of pieces: normalised, packed without gaps to pretrain on, or padded one text a row to classify."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from dlcore.data.sets import embedded
from dlcore.data.tokens import Pieces

SPECIALS = ("[pad]", "[sep]", "[mask]")  # padding is 0: models tell it by that
_APART = re.compile(r"[^\w\s']|_")


def plain(text: str) -> str:
    """Lower case, one space before each word and around each sign, `don't` as `don 't`: one spelling for corpora of many habits."""
    spaced = _APART.sub(r" \g<0> ", text.lower()).replace("'", " '")
    return "".join(f" {word}" for word in spaced.split())


def lines(documents: Iterable[str]) -> list[str]:
    """Every line of the documents that says something, normalised."""
    spelt = (plain(line) for document in documents for line in document.splitlines())
    return [line for line in spelt if line]


def packed(pieces: Pieces, lines: Sequence[str], length: int) -> np.ndarray:
    """All lines in a row, `[sep]` before each, cut into int32 [rows, length]; the rest that fills no row is left out."""
    sep = np.array([pieces.special("[sep]")], np.int32)
    stream = np.concatenate([part for tokens in pieces.encode_all(lines) for part in (sep, tokens)])
    if len(stream) < length:
        raise ValueError(f"the text has {len(stream)} pieces: too few for a row of {length}")
    return stream[: len(stream) // length * length].reshape(-1, length)


def padded(pieces: Pieces, texts: Sequence[str], length: int) -> np.ndarray:
    """One text a row, between two `[sep]`, cut or padded with 0: int32 [texts, length]."""
    sep, rows = pieces.special("[sep]"), np.zeros((len(texts), length), np.int32)
    for row, tokens in zip(rows, pieces.encode_all([plain(text) for text in texts]), strict=True):
        kept = np.concatenate([[sep], tokens, [sep]])[:length]
        row[: len(kept)] = kept
    return rows


def documentation() -> tuple[list[str], np.ndarray]:
    """Sentences of Python's own documentation, and the topic of each: 0 for the topic of most sentences, and so on."""
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


def cut(label: np.ndarray, folds: int, fold: int) -> dict[str, np.ndarray]:
    """Numbers of the examples of each split of a stratified cross-validation: `fold` is the test, the next one the validation.

    The folds are the same in every run. Raises ValueError unless 0 <= fold < folds and folds >= 3.
    """
    from sklearn.model_selection import StratifiedKFold

    if folds < 3 or not 0 <= fold < folds:
        raise ValueError(f"fold {fold} of {folds}: folds are counted from 0, and two of at least three are held out")
    parts = [part for _, part in StratifiedKFold(folds, shuffle=True, random_state=0).split(label, label)]
    test, validation = parts[fold], parts[(fold + 1) % folds]
    return {"train": np.setdiff1d(np.arange(len(label)), [*test, *validation]), "validation": validation, "test": test}
