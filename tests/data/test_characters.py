"""Text survives the way to numbers and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcore.data.characters import Bytes, Vocabulary, characters
from dlcore.errors import UsageError


@given(st.text())
def test_characters_round_trip(text: str) -> None:
    vocabulary = characters(text)
    tokens = vocabulary.encode(text)
    assert vocabulary.decode(tokens) == text
    assert tokens.dtype == np.int32
    assert set(tokens.tolist()) == set(range(len(vocabulary)))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_bytes_round_trip(text: str) -> None:
    tokens = Bytes().encode(text)
    assert Bytes().decode(tokens) == text
    assert bytes(tokens.astype(np.uint8)) == text.encode()
    assert tokens.dtype == np.int32


def test_characters_are_numbered_in_order() -> None:
    vocabulary = characters("hello, wörld 🙂")
    assert vocabulary.symbols == " ,dehlorwö🙂"
    np.testing.assert_array_equal(vocabulary.encode("hello"), [4, 3, 5, 5, 6])
    assert vocabulary == Vocabulary(" ,dehlorwö🙂")
    assert len(vocabulary) == 11


@given(st.text(min_size=1), st.text(), st.text())
def test_unknown_character_is_named_with_its_position(
    unknown: str, before: str, after: str
) -> None:
    before, after = (part.replace(unknown[0], "") for part in (before, after))
    with pytest.raises(UsageError) as error_info:
        characters(before + after).encode(before + unknown[0] + after)
    assert f"character {unknown[0]!r} at position {len(before)} " in str(error_info.value)


@pytest.mark.parametrize("vocabulary", [characters("abc"), Bytes()])
@pytest.mark.parametrize("token", [-1, 256])
def test_number_outside_the_vocabulary_is_named(vocabulary: Vocabulary | Bytes, token: int) -> None:
    with pytest.raises(
        UsageError,
        match=f"token {token} at position 1 is outside the vocabulary of {len(vocabulary)}",
    ):
        vocabulary.decode(np.array([0, token]))


def test_whole_numbers_of_any_type_and_shape_are_decoded() -> None:
    for kind in (np.uint8, np.int64, np.float32):
        assert characters("abc").decode(np.array([[2, 0], [1, 1]], kind)) == "cabb"
        assert Bytes().decode(np.array([[99, 97]], kind)) == "ca"


def test_symbols_must_be_sorted_and_different() -> None:
    for symbols in ("ba", "aab"):
        with pytest.raises(ValueError, match="sorted and different"):
            Vocabulary(symbols)
