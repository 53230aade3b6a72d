"""Byte pairs take every text, lose nothing, and are the same each time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcore.data import tokenizer, tokens
from dlcore.data.sets import embedded
from dlcore.errors import UsageError

TEXT = embedded.documentation()[:50_000]
SUBWORDS = tokens.bpe([TEXT], 400, ("[PAD]", "[MASK]"))


@pytest.mark.slow
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_comes_back(text: str) -> None:
    subwords = SUBWORDS.encode(text)
    assert SUBWORDS.decode(subwords) == text
    assert not (subwords < 2).any()


def test_every_byte_is_a_piece_of_the_smallest_vocabulary() -> None:
    subwords = tokens.bpe([TEXT], 258, ("[PAD]", "[MASK]"))
    assert len(subwords) == 258
    text = "".join(map(chr, range(256))) + "€🙂"
    found = subwords.encode(text)
    assert len(found) == len(text.encode())
    assert subwords.decode(found) == text
    assert found.dtype == subwords.encode_all([text])[0].dtype == subwords.bytes().dtype == np.int32


def test_merges_are_the_most_frequent_pairs() -> None:
    # Of "ab ab ab ac", a-b occurs three times, and with the space before it twice; then " ab" is
    # one piece.
    subwords = tokens.bpe(["ab ab ab ac"], 258)
    assert len(subwords.encode("ab")) == 1
    assert len(subwords.encode(" ab")) == 1
    assert len(subwords.encode("ac")) == 2


def test_a_special_name_in_a_text_stays_text() -> None:
    assert SUBWORDS.special("[MASK]") == 1
    assert SUBWORDS.decode(SUBWORDS.encode("a [MASK]\n[PAD]")) == "a [MASK]\n[PAD]"
    assert SUBWORDS.decode(np.array([0, *SUBWORDS.encode("x"), 1])) == "x"
    with pytest.raises(
        UsageError, match=r"'\[SEP\]' is not among the special tokens \[PAD\], \[MASK\]"
    ):
        SUBWORDS.special("[SEP]")


def test_the_same_text_gives_the_same_subwords_also_from_a_file(tmp_path: Path) -> None:
    assert tokens.bpe([TEXT], 400, ("[PAD]", "[MASK]")).serialized == SUBWORDS.serialized
    SUBWORDS.save(tmp_path / "v.json")
    loaded = tokens.load(tmp_path / "v.json")
    assert loaded.specials == SUBWORDS.specials
    np.testing.assert_array_equal(loaded.encode(TEXT[:1000]), SUBWORDS.encode(TEXT[:1000]))
    for one, alone in zip(SUBWORDS.encode_all([TEXT[:90], ""]), (TEXT[:90], ""), strict=True):
        np.testing.assert_array_equal(one, SUBWORDS.encode(alone))


def test_the_tokenizer_of_pretrained_weights_is_that_of_their_run_or_file(tmp_path: Path) -> None:
    used = tokens.bpe(["aa ab"], 258, ["[pad]"])
    used.save(tmp_path / "weights.json")
    (tmp_path / "facts.json").write_text(json.dumps({"tokenizer": tokenizer.to_facts(used)}))
    for path in (tmp_path, tmp_path / "weights.npz"):
        found = tokenizer.of_weights(path)
        assert (found.specials, len(found)) == (used.specials, len(used))
    assert tokenizer.of_weights("") is None
    with pytest.raises(UsageError, match="facts of a tokenizer"):
        tokenizer.of_weights(str(tmp_path / "none"))


def test_bad_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot hold 256 bytes and 1 specials"):
        tokens.bpe([TEXT], 256, ["[PAD]"])
    with pytest.raises(ValueError, match="special tokens must differ"):
        tokens.bpe([TEXT], 400, ["[PAD]", "[PAD]"])
    for taken in ("a", "ab"):  # a byte, and a merge
        with pytest.raises(UsageError, match=f"'{taken}' names a special token, and is a token"):
            tokens.bpe(["ab"], 257 + (taken == "ab"), [taken])
    for use in (
        SUBWORDS.encode,
        lambda text: SUBWORDS.encode_all(["fine", text]),
        lambda text: tokens.bpe(["fine", text], 300),
    ):
        with pytest.raises(UsageError, match=r"'a\\ud83db' has half .* '\\ud83d'\) at position 1"):
            use("a\ud83db")
    with pytest.raises(UsageError, match=r"give only 25\d"):
        tokens.bpe(["abc"], 1000)
    with pytest.raises(
        UsageError, match="token 400 at position 1 is outside the vocabulary of 400"
    ):
        SUBWORDS.decode(np.array([5, 400]))
    (tmp_path / "v.json").write_text('{"specials": [], "tokenizer": {}}')
    with pytest.raises(UsageError, match="not a vocabulary of byte pairs"):
        tokens.load(tmp_path / "v.json")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_subwords_know_how_many_bytes_they_stand_for(text: str) -> None:
    assert SUBWORDS.bytes()[SUBWORDS.encode(text)].sum() == len(text.encode())
    assert SUBWORDS.bytes()[:2].tolist() == [0, 0]
