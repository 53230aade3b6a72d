"""English as rows: one spelling, nothing lost in packing, nothing but padding behind a text, folds
that share nothing.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from dlcore.data.sets import embedded
from dlcore.data.sets.sentences import SPECIALS, cut, documentation, lines, packed, padded, plain
from dlcore.data.tokens import Subwords, bpe
from dlcore.errors import UsageError

TEXTS = ["The film isn't bad at all.", "Don't go!", "a well-made film, and well played"]


@functools.cache
def subwords() -> Subwords:
    """A small vocabulary."""
    return bpe([plain(text) for text in TEXTS], 270, SPECIALS)


def test_texts_of_different_habits_are_spelt_alike() -> None:
    assert plain("It's  well-made,\nisn't it?") == " it 's well - made , isn 't it ?"
    assert plain("it 's well - made , isn 't it ?") == plain("It's well-made, isn't it?")
    assert plain(" \n") == ""
    assert lines(["One.\n\nTwo", " \n", "Three_four"]) == [" one .", " two", " three _ four"]


def test_packing_keeps_every_piece_in_its_order() -> None:
    said, sep = [plain(text) for text in TEXTS], subwords().special("[sep]")
    stream = np.concatenate([[sep, *subwords().encode(text)] for text in said])
    for length in (7, 8, 9, len(stream) - 1, len(stream)):
        rows = packed(subwords(), said, length)
        assert rows.shape == (len(stream) // length, length)
        assert rows.dtype == np.int32
        np.testing.assert_array_equal(rows.ravel(), stream[: rows.size])
    with pytest.raises(
        UsageError, match=f"the text has {len(stream)} tokens, too few for a row of 1000"
    ):
        packed(subwords(), said, 1000)
    with pytest.raises(UsageError, match=r"the text for test has 0 tokens, .* a smaller --length"):
        packed(subwords(), [], 8, "the text for test")


def test_a_text_lies_between_separators_and_padding_is_zero() -> None:
    rows, sep = padded(subwords(), TEXTS, 24), subwords().special("[sep]")
    assert subwords().special("[pad]") == 0
    for row, text in zip(rows, TEXTS, strict=True):
        inside = subwords().encode(plain(text))
        whole = [sep, *inside, sep][:24]
        assert row.tolist() == whole + [0] * (24 - len(whole))
    assert padded(subwords(), TEXTS[:1], 4).shape == (1, 4)


def test_folds_part_the_examples_evenly_by_class_and_never_share() -> None:
    label = np.array([0] * 60 + [1] * 40)
    tested = []
    for fold in range(10):
        parts = cut(label, 10, fold)
        together = np.concatenate(list(parts.values()))
        assert sorted(together) == list(range(100))
        assert {split: len(part) for split, part in parts.items()} == {
            "train": 80,
            "validation": 10,
            "test": 10,
        }
        assert label[parts["test"]].sum() == label[parts["validation"]].sum() == 4
        tested += parts["test"].tolist()
    assert sorted(tested) == list(range(100))  # each example is tested once
    for fold in range(10):
        np.testing.assert_array_equal(
            cut(label, 10, fold)["validation"], cut(label, 10, (fold + 1) % 10)["test"]
        )
    # cards are of these folds
    folds = StratifiedKFold(10, shuffle=True, random_state=0).split(label, label)
    np.testing.assert_array_equal(cut(label, 10, 0)["test"], next(folds)[1])
    assert [len(part) for part in cut(label, 3, 2).values()] == [33, 34, 33]
    for count, fold in ((10, 10), (10, -1), (3, 3), (2, 0)):
        with pytest.raises(ValueError, match=f"fold {fold} of {count}"):
            cut(label, count, fold)


def test_sentences_of_the_documentation_are_distinguished_by_topic() -> None:
    said, topic = documentation()
    counts = np.bincount(topic)
    assert len(said) == len(set(said)) == len(topic) > 2000
    assert (np.diff(counts) <= 0).all()
    assert counts[1] > 100


def test_a_sentence_of_the_documentation_has_the_number_of_its_topic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    topics = {
        "zeta": "A b c d e.  F g h\ni j.\n\nThis is too short.",
        "alpha": "K l m n o. These words stand in both.",
        "beta": "These words stand in both. P q r s t! U v w x y:\n \nZ a b c d",
    }
    monkeypatch.setattr(embedded, "topics", lambda: topics)
    said, topic = documentation()
    beta, alpha, zeta = 0, 1, 2  # three sentences, and twice two, by name
    assert dict(zip(said, topic.tolist(), strict=True)) == {
        "K l m n o.": alpha,
        "These words stand in both.": alpha,
        "P q r s t!": beta,
        "U v w x y:": beta,
        "Z a b c d": beta,
        "A b c d e.": zeta,
        "F g h i j.": zeta,
    }
    assert topic.dtype == np.int32


def test_topics_of_as_many_sentences_are_numbered_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"topic {n:02d}" for n in range(60)]
    topics = {name: f"{name} has one sentence only." for name in reversed(names)}
    monkeypatch.setattr(embedded, "topics", lambda: topics)
    said, topic = documentation()
    assert [said[int(np.flatnonzero(topic == number)[0])][:8] for number in range(60)] == names


def test_each_number_is_one_topic_of_the_documentation() -> None:
    said, topic = documentation()
    texts = {name: " ".join(text.split()) for name, text in embedded.topics().items()}
    found = []
    for number in range(topic.max() + 1):
        own = [sentence for sentence, each in zip(said, topic, strict=True) if each == number]
        found.append(
            {name for name, text in texts.items() if all(sentence in text for sentence in own)}
        )
    assert all(found)
    assert len(set.union(*found)) >= len(found)
    assert found[0] == {"compound"}
