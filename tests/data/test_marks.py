"""Marks stay with the character before them wherever texts are split into words."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcore.data import word_spans
from dlcore.data.marks import pattern
from dlcore.data.sets import sentences
from dlcore.data.sets.sentences import plain
from dlcore.data.word_spans import words, words_of

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    "text", ["हिन्दी में", "ที่นี่ ครับ", "שָׁלוֹם לָךְ", "cafe\u0301 no\u0308e\u0308l", "❤\ufe0f 👍🏽"]
)
def test_words_keep_their_marks(text: str) -> None:
    for found in (words(text).spans.tolist(), words_of(text)):
        assert [text[start:end] for start, end in found] == text.split()
    assert plain(text).split() == unicodedata.normalize("NFC", text).split()
    assert plain(plain(text)) == plain(text)


def test_composed_and_decomposed_accents_are_spelt_alike() -> None:
    assert plain("Cafe\u0301, NAI\u0308VE!") == plain("Café, NAÏVE!") == " café , naïve !"


def test_a_mark_joins_no_symbol_to_the_next_word() -> None:
    text = "🙂\ufe0fok 👩🏽\u200d🚀!"
    expected = ["🙂\ufe0f", "ok", "👩🏽\u200d🚀", "!"]
    assert [text[start:end] for start, end in words_of(text)] == expected
    assert words(text).words == expected


def test_all_marks_of_unicode_are_among_them() -> None:
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    marks = {c for c in every if unicodedata.category(c)[0] == "M"}
    tags = map(chr, range(0xE0020, 0xE0080))
    others = {"\u200c", "\u200d", *map(chr, range(0x1F3FB, 0x1F400)), *tags}
    assert {*pattern("[MARKS]", False).findall(every)} == marks | others


@given(st.text(st.characters(max_codepoint=127)))
def test_texts_of_ascii_are_split_alike_by_the_faster_pattern(text: str) -> None:
    for template in (word_spans._WORD, word_spans._TREEBANK, sentences._APART):
        fast, whole = (pattern(template, ascii_only).finditer(text) for ascii_only in (True, False))
        assert [match.span() for match in fast] == [match.span() for match in whole]
