"""Marks that belong to the character before them, for the patterns that split texts into words."""

from __future__ import annotations

import itertools
import unicodedata

# Zero-width joiners, which words and emoji have inside, and skin tones: no marks by category.
_OTHERS = "\u200c\u200d\U0001f3fb-\U0001f3ff"
# Where Unicode has marks: looking at all of its planes would take ten times as long.
_BLOCKS = range(0x300, 0x1F000), range(0xE0100, 0xE01F0)


def _ranges() -> str:
    marks = (c for block in _BLOCKS for c in block if unicodedata.category(chr(c))[0] == "M")
    found = []
    for _, run in itertools.groupby(enumerate(marks), lambda pair: pair[1] - pair[0]):
        codes = [code for _, code in run]
        found.append(f"{chr(codes[0])}-{chr(codes[-1])}")
    return "".join(found)


MARKS = _ranges() + _OTHERS
"""For a character class: accents, vowel signs, points, variation selectors, joiners, skin tones."""
