"""Text of an answer, token by token, up to a text at which it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dlcore.data.tokenizer import Tokenizer


class StopTexts:
    """Decodes tokens one by one, up to a stop text.

    Bytes of an incomplete character, and what may be the beginning of a stop text, are withheld.
    """

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str]) -> None:
        self._decode: Callable[[np.ndarray], str] = tokenizer.decode
        self._largest, self._stop = len(tokenizer) - 1, tuple(stop)
        self._tokens: list[int] = []  # of a character that is not whole yet
        self._text = ""  # decoded, and not given out
        self.stopped = False

    def add(self, token: int) -> str:
        """Adds a token; returns the text that is certain now."""
        # An embedding may have more rows than there are tokens.
        self._tokens.append(min(token, self._largest))
        text = self._decode(np.asarray(self._tokens))
        if text.endswith("\ufffd"):
            return ""
        self._tokens.clear()
        return self._given(text)

    def _given(self, text: str) -> str:
        self._text += text
        found = [at for at in (self._text.find(stop) for stop in self._stop) if at >= 0]
        if found:
            self.stopped = True
            return self._text[: min(found)]
        held = max((_overlap(self._text, stop) for stop in self._stop), default=0)
        part, self._text = (
            self._text[: len(self._text) - held],
            self._text[len(self._text) - held :],
        )
        return part

    def rest(self) -> str:
        """Returns the withheld text, after the last token."""
        part = self._given(self._decode(np.asarray(self._tokens, np.int32)))
        return part if self.stopped else part + self._text


def _overlap(text: str, stop: str) -> int:
    """The length of the longest suffix of `text` that is a proper prefix of `stop`."""
    return next(n for n in range(min(len(text), len(stop) - 1), -1, -1) if text.endswith(stop[:n]))
