"""Byte-pair tokens, trained and applied by the `tokenizers` library."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dlcore.errors import UsageError

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclasses.dataclass(frozen=True)
class Subwords:
    """A byte-level byte-pair vocabulary (Sennrich et al. 2016; Radford et al. 2019): takes every
    text, loses nothing.

    `told` is the library's own JSON, so that a vocabulary can stand beside the weights that were
    trained with it.
    """

    serialized: str
    specials: tuple[str, ...] = ()

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_str(self.serialized)
        except Exception as error:  # the library raises plain Exception
            raise UsageError(
                f"this is no vocabulary of byte pairs ({error}): it must be the JSON that `save`"
                " wrote"
            ) from error
        # a special's name in a text is text: no text can forge a special
        tokenizer.encode_special_tokens = True
        return tokenizer

    def encode(self, text: str) -> np.ndarray:
        """int32 [pieces]. A special's name within the text stays text."""
        return np.asarray(self._tokenizer.encode(text, add_special_tokens=False).ids, np.int32)

    def encode_all(self, texts: Sequence[str]) -> list[np.ndarray]:
        """`encode` of many texts, in parallel."""
        found = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [np.asarray(each.ids, np.int32) for each in found]

    def decode(self, tokens: np.ndarray) -> str:
        """The text of pieces; specials are left out. UsageError: a number outside the
        vocabulary.
        """
        tokens = np.asarray(tokens).reshape(-1)
        outside = np.flatnonzero((tokens < 0) | (tokens >= len(self)))
        if outside.size:
            at = int(outside[0])
            raise UsageError(
                f"token {tokens[at]} at position {at} is outside the vocabulary of {len(self)}"
            )
        kept = tokens[tokens >= len(self.specials)]
        return str(self._tokenizer.decode(kept.tolist(), skip_special_tokens=False))

    def bytes(self) -> np.ndarray:
        """How many bytes of text each piece stands for: int32 [pieces]; a special stands for
        none.
        """
        # The library writes a byte as one character.
        sizes = [len(self._tokenizer.id_to_token(piece) or "") for piece in range(len(self))]
        return np.array([0] * len(self.specials) + sizes[len(self.specials) :], np.int32)

    def special(self, name: str) -> int:
        """The number of a special piece: they come first, in the order in which they were named."""
        if name not in self.specials:
            raise UsageError(
                f"{name!r} is not among the special pieces"
                f" {', '.join(self.specials) or '(there are none)'}"
            )
        return self.specials.index(name)

    def save(self, path: Path) -> None:
        """Write the vocabulary as one JSON file, which `load` reads."""
        path.write_text(
            json.dumps({"specials": self.specials, "tokenizer": json.loads(self.serialized)})
            + "\n",
            encoding="utf-8",
        )


def load(path: Path) -> Subwords:
    """The vocabulary that `Pieces.save` wrote. UsageError: missing or damaged."""
    try:
        serialized = json.loads(path.read_text(encoding="utf-8"))
        subwords = Subwords(json.dumps(serialized["tokenizer"]), tuple(serialized["specials"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} holds no vocabulary of byte pairs ({error}): name a file that Pieces.save"
            " wrote"
        ) from error
    len(subwords)  # parse it now: a damaged one must not fail in the middle of a run
    return subwords


def bpe(texts: Iterable[str], size: int, specials: Sequence[str] = ()) -> Subwords:
    """Byte pairs of `texts` merged until there are `size` pieces, `specials` among them: the same
    texts, the same pieces.

    UsageError: `size` holds not even the 256 bytes and the specials, or the texts are too short for
    that many pieces.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    if size < 256 + len(specials):
        raise UsageError(
            f"a byte-pair vocabulary of {size} cannot hold 256 bytes and {len(specials)} specials:"
            " make it larger"
        )
    if len(set(specials)) != len(specials):
        raise ValueError(f"special pieces must differ: {list(specials)}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        show_progress=False,
        special_tokens=list(specials),
        initial_alphabet=sorted(alphabet),
    )
    tokenizer.train_from_iterator(texts, trainer)
    subwords = Subwords(tokenizer.to_str(), tuple(specials))
    if len(subwords) != size:
        raise UsageError(
            f"the texts have only {len(subwords)} byte pairs that occur twice, and {size} are asked"
            " for: ask for fewer"
        )
    return subwords


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Characters by number: a character's number is its place in `symbols`, which are sorted."""

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

    def encode(self, text: str) -> np.ndarray:
        """int32 [characters]. UsageError: a character that is not in the vocabulary."""
        points = _code_points(text)
        number = np.searchsorted(self._points, points)
        known = (
            self._points[np.minimum(number, len(self) - 1)] == points
            if len(self)
            else np.zeros(len(points), bool)
        )
        if not known.all():
            at = int(np.argmin(known))
            raise UsageError(
                f"character {text[at]!r} at position {at} is not among the {len(self)} of the"
                " vocabulary: build the vocabulary from all the text, or leave that character out"
            )
        return number.astype(np.int32)

    def decode(self, tokens: np.ndarray) -> str:
        """The text of whole numbers [characters]. UsageError: a number outside the vocabulary."""
        return (
            self._points[_inside(tokens, len(self))].tobytes().decode("utf-32-le", "surrogatepass")
        )


@dataclasses.dataclass(frozen=True)
class Bytes:
    """The 256 values of a byte as a vocabulary: takes every text, in UTF-8."""

    def __len__(self) -> int:
        return 256

    def encode(self, text: str) -> np.ndarray:
        """int32 [bytes]."""
        return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int32)

    def decode(self, tokens: np.ndarray) -> str:
        """The text of whole numbers [bytes]; what is not UTF-8 is shown as U+FFFD. UsageError: a
        number outside 0..255.
        """
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
