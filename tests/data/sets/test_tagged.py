"""Tagged sentences as arrays: rows of long sentences, unknown words, subwords, synthetic tags."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dlcore.data.sets import sentences, synthetic_tags, tagged
from dlcore.data.tokens import bpe
from dlcore.errors import UsageError

pytestmark = pytest.mark.quick


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        name if name == "wnut17" else pytest.param(name, marks=pytest.mark.nightly)
        for name in tagged.KINDS
    ],
)
def test_rows_hold_the_words_and_tags_of_the_sentences(name: str) -> None:
    splits = tagged.load(name, "offline", 4)
    facts = splits.facts
    for _, source in splits.items():
        assert isinstance(source, tagged.TaggedSentences)
        assert sum(source.rows) == len(source)
        length, tags = source.arrays["length"], source.arrays["tags"]
        assert length.max() == 4
        assert (length >= 1).all()
        valid = np.arange(4)[None] < length[:, None]
        flat = [facts.classes[i] for i in tags[valid]]
        assert flat == [tag for each in source.sentences for tag in each.tags]
        assert ((source.arrays["words"] > 0) == valid).all()
        assert ((source.arrays["characters"] > 0).any(-1) == valid).all()


def test_words_that_training_lacks_are_unknown_and_long_ones_keep_both_ends() -> None:
    encoder = tagged.Encoder({"a0": 2}, {"a": 2, "b": 3, "c": 4}, 3, 4)
    rows = encoder.encode([["A7", "abcabc", "a0", "?"]])
    assert rows["words"].tolist() == [[2, 1, 2], [1, 0, 0]]
    assert rows["characters"][0, 1].tolist() == [2, 3, 3, 4]
    assert rows["length"].tolist() == [3, 1]


def test_each_word_has_the_position_of_its_first_subword() -> None:
    subwords = bpe([sentences.plain("the cat sat on the mat")] * 3, 262, sentences.SPECIALS)
    encoder = tagged.Encoder({}, {}, 3, 4, subwords)
    words = ["The", "cat", "incomprehensibilities"]
    rows = encoder.encode([words])
    tokens, first = rows["tokens"][0], rows["first"][0]
    sep = subwords.special("[sep]")
    assert tokens[0] == sep
    assert tokens[tokens != 0][-1] == sep
    for word, at in zip(words, first, strict=True):
        assert tokens[at] == subwords.encode(sentences.plain(word))[0]


def test_synthetic_words_do_not_tell_their_tags() -> None:
    """The best answer by words alone is far from right: the context must be read."""
    found = synthetic_tags.sentences("parts")
    words: dict[str, set[str]] = {}
    for each in found["train"]:
        for word, tag in zip(each.words, each.tags, strict=True):
            words.setdefault(tag, set()).add(word)
    both = words["NOUN"] & words["VERB"]
    assert len(both) >= 5
    assert {each.label for each in synthetic_tags.sentences("requests")["test"]} == {
        "flight",
        "fare",
        "ground",
    }


def test_tags_and_intents_that_training_lacks_are_minus_1(tmp_path: Path) -> None:
    for split, tag, label in (("train", "X", "p"), ("validation", "X", "q"), ("test", "Y", "r")):
        span = {"start": 0, "end": 1, "label": tag}
        rows = [{"text": "a b", "spans": [span], "label": each} for each in ("q", label)]
        lines = "".join(f"{json.dumps(row)}\n" for row in rows)
        (tmp_path / f"{split}.jsonl").write_text(lines)
    with pytest.warns(UserWarning, match="count as wrong") as warned:
        splits = tagged.load("atis", tmp_path, 3)
    assert [str(each.message) for each in warned] == [
        "2 tags of test do not occur in train, and count as wrong: B-Y",
        "1 intents of test do not occur in train, and count as wrong: r",
    ]
    assert splits.validation.arrays["tags"].tolist() == [[1, 0, 0]] * 2  # type: ignore[attr-defined]
    assert splits.test.arrays["tags"].tolist() == [[-1, 0, 0]] * 2  # type: ignore[attr-defined]
    assert splits.test.arrays["label"].tolist() == [1, -1]  # type: ignore[attr-defined]


def test_other_names_are_refused() -> None:
    with pytest.raises(UsageError, match="no set of tagged sentences: choose one of conll2003_en"):
        tagged.load("conll", "offline")
