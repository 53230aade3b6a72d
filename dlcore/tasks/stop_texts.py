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
        self._tokens: list[int] = []  # of an incomplete character
        self._text = ""  # decoded, and withheld
        self.stopped = False

    def add(self, token: int) -> str:
        """Adds a token; returns the text that is certain now."""
        # An embedding may have more rows than there are tokens.
        self._tokens.append(min(token, self._largest))
        text = self._decode(np.asarray(self._tokens))
        if text.endswith("\ufffd"):
            return ""
        self._tokens.clear()
        return self._released(text)

    def _released(self, text: str) -> str:
        """What of the withheld text and this can begin no stop text."""
        self._text += text
        found = [at for at in (self._text.find(stop) for stop in self._stop) if at >= 0]
        if found:
            self.stopped = True
            return self._text[: min(found)]
        withheld = max((_overlap(self._text, stop) for stop in self._stop), default=0)
        end = len(self._text) - withheld
        released, self._text = self._text[:end], self._text[end:]
        return released

    def rest(self) -> str:
        """Returns the withheld text, after the last token."""
        released = self._released(self._decode(np.asarray(self._tokens, np.int32)))
        return released if self.stopped else released + self._text


def _overlap(text: str, stop: str) -> int:
    """The length of the longest suffix of `text` that is a proper prefix of `stop`."""
    return next(n for n in range(min(len(text), len(stop) - 1), -1, -1) if text.endswith(stop[:n]))
