"""Text of an answer up to a text at which it ends."""

from __future__ import annotations

import pytest

from dlcore.data.characters import Bytes
from dlcore.data.tokens import bpe
from dlcore.tasks.stop_texts import StopTexts
from tests.tasks.test_conversation import SYMBOLS

pytestmark = pytest.mark.quick


def test_what_may_begin_a_stop_text_is_held_back() -> None:
    text = StopTexts(SYMBOLS, ("abca",))
    emitted = [text.add(int(token)) for token in SYMBOLS.encode("jabcb")]
    assert emitted == ["j", "", "", "", "abcb"]
    assert [text.add(int(token)) for token in SYMBOLS.encode("abcabca")][:4] == ["", "", "", ""]
    assert text.stopped
    text = StopTexts(SYMBOLS, ("abca",))
    assert [text.add(int(token)) for token in SYMBOLS.encode("ab")] == ["", ""]
    assert text.rest() == "ab"
    assert not text.stopped


def test_a_character_of_several_tokens_is_shown_whole() -> None:
    for tokenizer in (Bytes(), bpe(["plain text"] * 2, 258)):
        text = StopTexts(tokenizer, ())
        emitted = [text.add(int(token)) for token in tokenizer.encode("aä€b")]
        assert "".join(emitted) == "aä€b"
        assert "\ufffd" not in "".join(emitted)
    text = StopTexts(Bytes(), ())
    assert [text.add(195), text.rest()] == ["", "\ufffd"]
    # rows of an embedding that are no token
    assert StopTexts(SYMBOLS, ()).add(50) == "j"
