"""Text to whole numbers and back."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from dlcore.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Characters by number: a character's number is its place in `symbols`, which are sorted."""

    symbols: str

    def __post_init__(self) -> None:
        if list(self.symbols) != sorted(set(self.symbols)):
            raise ValueError(f"the symbols of a vocabulary must be sorted and different: {self.symbols!r}")

    def __len__(self) -> int:
        return len(self.symbols)

    @functools.cached_property
    def _points(self) -> np.ndarray:
        return _code_points(self.symbols)

    def encode(self, text: str) -> np.ndarray:
        """int32 [characters]. UsageError: a character that is not in the vocabulary."""
        points = _code_points(text)
        number = np.searchsorted(self._points, points)
        known = self._points[np.minimum(number, len(self) - 1)] == points if len(self) else np.zeros(len(points), bool)
        if not known.all():
            at = int(np.argmin(known))
            raise UsageError(
                f"character {text[at]!r} at position {at} is not among the {len(self)} of the vocabulary: "
                "build the vocabulary from all the text, or leave that character out"
            )
        return number.astype(np.int32)

    def decode(self, tokens: np.ndarray) -> str:
        """The text of whole numbers [characters]. UsageError: a number outside the vocabulary."""
        return self._points[_inside(tokens, len(self))].tobytes().decode("utf-32-le", "surrogatepass")


@dataclasses.dataclass(frozen=True)
class Bytes:
    """The 256 values of a byte as a vocabulary: takes every text, in UTF-8."""

    def __len__(self) -> int:
        return 256

    def encode(self, text: str) -> np.ndarray:
        """int32 [bytes]."""
        return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int32)

    def decode(self, tokens: np.ndarray) -> str:
        """The text of whole numbers [bytes]; what is not UTF-8 is shown as U+FFFD. UsageError: a number outside 0..255."""
        return _inside(tokens, 256).astype(np.uint8).tobytes().decode("utf-8", "replace")


def characters(text: str) -> Vocabulary:
    """The vocabulary of all characters in a text."""
    return Vocabulary("".join(sorted(set(text))))


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _inside(tokens: np.ndarray, size: int) -> np.ndarray:
    tokens = np.asarray(tokens).reshape(-1).astype(np.int64)
    outside = np.flatnonzero((tokens < 0) | (tokens >= size))
    if outside.size:
        at = int(outside[0])
        raise UsageError(f"token {tokens[at]} at position {at} is outside the vocabulary of {size}")
    return tokens
