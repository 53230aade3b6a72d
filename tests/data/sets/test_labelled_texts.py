"""Texts with classes: offline, of one's own, and published without a tested text in training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlcore.data import tfds, tokenizer
from dlcore.data.sets import labelled_texts, sentences
from dlcore.data.words import UNKNOWN
from dlcore.errors import UsageError
from tests.data.own import made


@pytest.mark.parametrize(("name", "classes"), [("sst2", 2), ("banking77", 11)])
def test_offline_texts_are_sentences_of_the_documentation(name: str, classes: int) -> None:
    found = labelled_texts.load(name, "offline", 16)
    assert len(found.facts.classes) == classes
    label = found.train.arrays["label"]
    assert found.facts.majority == np.bincount(label, minlength=classes).argmax()
    words = tokenizer.from_facts(found.facts.tokenizer)
    assert len(words) == found.facts.vocabulary
    unknown = words.special(UNKNOWN)
    assert (found.test.arrays["tokens"] == unknown).any()
    expected = sentences.padded(words, found.test.texts, 16)
    np.testing.assert_array_equal(found.test.arrays["tokens"], expected)


def test_words_are_those_of_train_that_are_not_too_rare(tmp_path: Path) -> None:
    file = made.texts(tmp_path / "films.csv")
    found = labelled_texts.load("sst2", file, 12, rarest=5)
    assert found.facts.classes == ["+", "-"]
    assert found.facts.by_hash == ["validation", "test"]
    counts: dict[str, int] = {}
    for text in found.train.texts:
        for word in sentences.plain(text).split():
            counts[word] = counts.get(word, 0) + 1
    known = {word for word, n in counts.items() if n >= 5}
    assert found.facts.vocabulary == len(known) + len(sentences.SPECIALS) + 1


@pytest.mark.quick
def test_other_names_are_refused() -> None:
    with pytest.raises(UsageError, match="'imdb' is no set of texts: choose sst2 or banking77"):
        labelled_texts.load("imdb", "offline", 16)


@pytest.mark.quick
def test_published_splits_share_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question that is tested is not in train, however it is spelt."""
    texts = [f"Question {n} about intent {n % 3}?" for n in range(60)]
    tables: dict[str, dict[str, list[Any]]] = {
        "train": {
            "text": [*texts, "How  SO?"],
            "intent": [f"i{n % 3}" for n in range(60)] + ["i0"],
        },
        "test": {"text": ["how so ?", "why ?", texts[7]], "intent": ["i0", "i2", "i1"]},
    }
    monkeypatch.setattr(tfds, "columns", lambda name, split, *more: tables[split])
    monkeypatch.setattr(tfds, "version", lambda name: "1.0.0")
    found = labelled_texts.load("banking77", "published", 16)
    assert found.facts.classes == ["i0", "i1", "i2"]
    assert found.facts.examples == {"train": 53, "validation": 6, "test": 3}
    held = {*found.validation.texts}
    assert not {*found.train.texts} & held
    assert not ({*found.train.texts} | held) & {"How  SO?", texts[7]}
    assert found.test.arrays["label"].tolist() == [0, 2, 1]
