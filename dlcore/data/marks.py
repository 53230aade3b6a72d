"""Patterns that split texts into words, in which marks belong to the character before them."""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata

# Zero-width joiners, which words and emoji have inside, skin tones, and the tags of flags such as
# Scotland's: no marks by category.
_OTHERS = "\u200c\u200d\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f"
# Where Unicode has marks: looking at all of its planes would take ten times as long.
_BLOCKS = range(0x300, 0x1F000), range(0xE0100, 0xE01F0)


@functools.cache
def pattern(template: str, ascii_only: bool) -> re.Pattern[str]:
    """Compiles a regular expression, in whose character classes MARKS stands for all marks.

    Marks are accents, vowel signs, points, variation selectors, joiners, skin tones and tags. They
    are collected when the first text needs them, which takes as long as reading thousands of words.

    Args:
        template: the regular expression.
        ascii_only: whether it is for texts of ASCII alone, which it matches in half the time.
    """
    return re.compile(template.replace("MARKS", "\u0300" if ascii_only else _marks()))


def _marks() -> str:
    """All marks, for a character class."""
    marks = (c for block in _BLOCKS for c in block if unicodedata.category(chr(c))[0] == "M")
    ranges = []
    for _, run in itertools.groupby(enumerate(marks), lambda pair: pair[1] - pair[0]):
        codes = [code for _, code in run]
        ranges.append(f"{chr(codes[0])}-{chr(codes[-1])}")
    return "".join(ranges) + _OTHERS
