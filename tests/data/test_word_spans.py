"""Words and their offsets, with accents, emoji and blanks of all kinds."""

from __future__ import annotations

import numpy as np
import pytest

from dlcore.data import word_spans

pytestmark = pytest.mark.quick
TEXT = "Zoe\u0301's\u00a0café — 👩🏽\u200d🚀 paid $1,000!\r\n"


def _of(text: str) -> list[str]:
    return [text[start:end] for start, end in word_spans.words_of(text)]


def test_offsets_point_into_the_text() -> None:
    found = word_spans.words(TEXT)
    assert [TEXT[a:b] for a, b in found.spans] == found.words
    assert found.words == [
        *("Zoe\u0301", "'", "s", "café", "—", "👩🏽\u200d🚀", "paid", "$", "1", ",", "000", "!")
    ]
    assert word_spans.words(" \n").spans.shape == (0, 2)
    flags = "🇩🇪🇫🇷", "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
    for split in (word_spans.words(" ".join(flags)).words, [*_of(" ".join(flags))]):
        assert split == ["🇩🇪", "🇫🇷", flags[1]]


def test_a_span_of_characters_touches_words() -> None:
    spans = word_spans.words("one two three").spans
    assert word_spans.covering(spans, 4, 7) == (1, 1)
    assert word_spans.covering(spans, 5, 9) == (1, 2)  # a part of a word counts as the word
    assert word_spans.covering(spans, 3, 4) is None


def test_flags_and_characters() -> None:
    found = word_spans.flags(["Paris", "cities", "in", "7", "."], ["in", "paris", "city", "citing"])
    assert found.tolist() == [
        [1, 1, 1, 0, 0],
        [0, 1, 0, 0, 0],
        [1, 0, 0, 0, 0],
        [0, 0, 0, 1, 0],
        [0, 0, 0, 0, 1],
    ]
    bytes_of = word_spans.characters(["é", "abcdef"], 4)
    assert bytes_of.tolist() == [[0xC3 + 1, 0xA9 + 1, 0, 0], [98, 99, 100, 101]]
    assert bytes_of.dtype == np.uint8
