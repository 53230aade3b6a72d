"""Words of a text, with the characters at which they begin and end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, UInt8

from dlcore.data import marks

# MARKS: see `marks.pattern`
_LETTER, _RUN = r"\w[MARKS]*", r"\w[\wMARKS]*"
_FLAG = "[\U0001f1e6-\U0001f1ff]{2}"  # a country's, two letters of its code
_SYMBOL = rf"{_FLAG}|[^\w\s](?:[MARKS]|(?<=\u200d)[^\w\s])*"
_WORD = f"{_RUN}|{_SYMBOL}"
# Kana and Chinese characters, which have no spaces between words.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_SPACED = rf"[^\W{_UNSPACED}](?:[^\W{_UNSPACED}]|[MARKS])*"
_TREEBANK = (
    rf"https?://\S+|[@#]{_RUN}|(?:{_LETTER}\.){{2,}}|(?i:{_SPACED}(?=n['’]t\b)|n['’]t\b)"
    rf"|(?<=[\wMARKS])['’]{_SPACED}|{_SPACED}(?:[-.,:/&]{_SPACED})*|{_LETTER}|{_SYMBOL}"
)
FLAGS = ("in_other", "prefix_in_other", "capital", "digit", "punctuation")
_PREFIX = 4  # characters by which two forms of a word are recognised


class Words(NamedTuple):
    """Words of a text.

    Attributes:
        words: as they are written.
        spans: first character of each word, and the one after its last, int32 [words, 2].
    """

    words: list[str]
    spans: Int32[np.ndarray, "words 2"]


def words(text: str) -> Words:
    """Splits a text into runs of letters, digits and underscores, and single other characters.

    Whitespace is left out. Combining marks stay with their letter; an emoji that is composed of
    several characters is one word.
    """
    matches = marks.pattern(_WORD, text.isascii()).finditer(text)
    found = [(match.group(), *match.span()) for match in matches]
    spans = np.array([each[1:] for each in found], np.int32).reshape(-1, 2)
    return Words([each[0] for each in found], spans)


def words_of(text: str) -> list[tuple[int, int]]:
    """Splits a text into words and single punctuation marks or symbols.

    A URL ("https://...", up to the next whitespace), "U.S.", "1996-08-22" and "@name" are one word
    each; an e-mail address is several. "John's" is two words, and so is "don't" ("do" and "n't"),
    as in treebanks. A quote before a word is a word of its own, and so are kana and Chinese
    characters, each by itself.

    Args:
        text: the text; whitespace belongs to no word.

    Returns:
        (start, end) of each in code points, so that text[start:end] is the word.
    """
    found = marks.pattern(_TREEBANK, text.isascii()).finditer(text)
    return [match.span() for match in found]


def flags(tokens: Sequence[str], others: Sequence[str]) -> UInt8[np.ndarray, "tokens 5"]:
    """Computes five features of each word, two of which compare it with another text.

    They are, in the order of `FLAGS`, "in_other": the other text has the word, regardless of case;
    "prefix_in_other": the word has at least four characters, and a word of the other text begins
    with its first four, regardless of case (Chen et al. 2017, sec. 3.2, use lemmas); "capital": its
    first character is an upper-case letter; "digit": its first character is a digit; "punctuation":
    its first character is neither letter nor digit.

    Args:
        tokens: words as they are written.
        others: words of the other text.

    Returns:
        uint8 [tokens, 5], 1 where a word has the feature, else 0.
    """
    known = {each.lower() for each in others}
    begun = {each[:_PREFIX] for each in known if len(each) >= _PREFIX}
    found = np.zeros((len(tokens), len(FLAGS)), np.uint8)
    for row, word in zip(found, tokens, strict=True):
        low = word.lower()
        row[:] = (
            low in known,
            len(low) >= _PREFIX and low[:_PREFIX] in begun,
            word[:1].isupper(),
            word[:1].isdigit(),
            not word[:1].isalnum(),
        )
    return found


def characters(tokens: Sequence[str], length: int) -> UInt8[np.ndarray, "tokens length"]:
    """Returns the first `length` UTF-8 bytes of each word, each plus 1; padding is 0.

    Args:
        tokens: words.
        length: number of bytes per word; longer words are cut, also within a character.

    Returns:
        uint8 [tokens, length].
    """
    found = np.zeros((len(tokens), length), np.uint8)
    for row, word in zip(found, tokens, strict=True):
        part = np.frombuffer(word.encode("utf-8", "replace")[:length], np.uint8)
        row[: len(part)] = part + 1  # no byte of UTF-8 is 255
    return found


def covering(spans: Int32[np.ndarray, "words 2"], start: int, end: int) -> tuple[int, int] | None:
    """Finds the first and the last word that overlap the characters [start, end).

    Args:
        spans: from `words`.
        start, end: offsets in characters, `end` exclusive.

    Returns:
        Indices of both words; None if no word overlaps.
    """
    touched = np.flatnonzero((spans[:, 1] > start) & (spans[:, 0] < end))
    return (int(touched[0]), int(touched[-1])) if len(touched) else None
