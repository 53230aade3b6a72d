"""Words as tokens: rare ones are unknown, and names of special tokens in a text are text."""

from __future__ import annotations

import pytest

from dlcore.data import tokenizer
from dlcore.data.sets.sentences import SPECIALS
from dlcore.data.words import UNKNOWN, words

pytestmark = pytest.mark.quick


def test_words_are_numbered_after_the_special_tokens() -> None:
    found = words(["a film", "a dull film", "a [pad] café", "café"], 2, SPECIALS)
    assert len(found) == len(SPECIALS) + 1 + 3
    unknown = found.special(UNKNOWN)
    assert unknown == len(SPECIALS)
    a, cafe, film = (unknown + 1 + i for i in range(3))
    assert found.encode(" a dull café film").tolist() == [a, unknown, cafe, film]
    assert found.encode("a [pad] [sep]").tolist() == [a, unknown, unknown]
    assert [row.tolist() for row in found.encode_all(["film", ""])] == [[film], []]


def test_it_is_a_fact_like_other_tokenizers() -> None:
    found = words(["a film"], 1, SPECIALS)
    same = tokenizer.from_facts(tokenizer.to_facts(found))
    assert same.encode("a film").tolist() == found.encode("a film").tolist()
    assert len(same) == len(found)
