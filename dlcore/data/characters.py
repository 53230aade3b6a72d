"""Vocabularies of characters and of bytes."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from jaxtyping import Int32, Integer

from dlcore.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """A vocabulary of characters: `encode` converts a text to indices, `decode` indices to a text.

    Attributes:
        symbols: the characters, sorted by code point, each once; the index of a character is its
            position here.

    Raises:
        ValueError: `symbols` is not sorted, or has a character twice.
    """

    symbols: str

    def __post_init__(self) -> None:
        if list(self.symbols) != sorted(set(self.symbols)):
            raise ValueError(
                f"the symbols of a vocabulary must be sorted and different: {self.symbols!r}"
            )

    def __len__(self) -> int:
        return len(self.symbols)

    @functools.cached_property
    def _points(self) -> np.ndarray:
        return _code_points(self.symbols)

    def encode(self, text: str) -> Int32[np.ndarray, " characters"]:
        """Encodes a text as int32 [characters].

        Raises:
            UsageError: a character that is not in the vocabulary.
        """
        points = _code_points(text)
        indices = np.searchsorted(self._points, points)
        known = (
            self._points[np.minimum(indices, len(self) - 1)] == points
            if len(self)
            else np.zeros(len(points), bool)
        )
        if not known.all():
            position = int(np.argmin(known))
            raise UsageError(
                f"character {text[position]!r} at position {position} is not among the {len(self)}"
                " of the vocabulary: build the vocabulary from all the text, or leave that"
                " character out"
            )
        return indices.astype(np.int32)

    def decode(self, tokens: Integer[np.ndarray, ...]) -> str:
        """Decodes tokens to one text.

        Args:
            tokens: int, of any shape, read in row-major order.

        Raises:
            UsageError: an index outside the vocabulary.
        """
        return (
            self._points[_inside(tokens, len(self))].tobytes().decode("utf-32-le", "surrogatepass")
        )


@dataclasses.dataclass(frozen=True)
class Bytes:
    """The 256 values of a byte as a vocabulary: encodes every text as the bytes of its UTF-8."""

    def __len__(self) -> int:
        return 256

    def encode(self, text: str) -> Int32[np.ndarray, " bytes"]:
        """Encodes a text as int32 [bytes]."""
        return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int32)

    def decode(self, tokens: Integer[np.ndarray, ...]) -> str:
        """Decodes tokens to one text; bytes that are not UTF-8 become U+FFFD.

        Args:
            tokens: int, of any shape, read in row-major order.

        Raises:
            UsageError: an index outside 0..255.
        """
        return _inside(tokens, 256).astype(np.uint8).tobytes().decode("utf-8", "replace")


def characters(text: str) -> Vocabulary:
    """Returns the vocabulary of the distinct characters in a text, sorted by code point."""
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
