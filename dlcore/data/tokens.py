"""Vocabularies of byte-pair subwords, by the `tokenizers` library."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int32, Integer

from dlcore.errors import UsageError

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclasses.dataclass(frozen=True)
class Subwords:
    """A byte-level byte-pair vocabulary (Sennrich et al. 2016; Radford et al. 2019).

    It encodes every text of whole characters without loss. (`dlcore.data.words.words` stores whole
    words in this class; they have losses.) Its `len` is the number of tokens, with special ones.

    Attributes:
        serialized: JSON of the `tokenizers` library, which can be stored beside trained weights.
        specials: names of the special tokens; they have the first indices, in this order.
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
                f"this is not a vocabulary of byte pairs ({error}): it must be the JSON that"
                " `save` wrote"
            ) from error
        # the name of a special token in a text is text: no text can insert a special token
        tokenizer.encode_special_tokens = True
        return tokenizer

    def encode(self, text: str) -> Int32[np.ndarray, " tokens"]:
        """Encodes a text as int32 [tokens]; names of special tokens in it are encoded as text.

        Raises:
            UsageError: a lone surrogate, which is half of a character.
        """
        text = without_surrogates(text)
        return np.asarray(self._tokenizer.encode(text, add_special_tokens=False).ids, np.int32)

    def encode_all(self, texts: Sequence[str]) -> list[Int32[np.ndarray, " _"]]:
        """Encodes many texts, in parallel, each as int32 [tokens].

        Raises:
            UsageError: as `encode`.
        """
        whole = [without_surrogates(text) for text in texts]
        found = self._tokenizer.encode_batch(whole, add_special_tokens=False)
        return [np.asarray(each.ids, np.int32) for each in found]

    def decode(self, tokens: Integer[np.ndarray, ...]) -> str:
        """Decodes tokens to one text; special tokens are left out.

        Of a byte-pair vocabulary, bytes that are not UTF-8 become U+FFFD; the tokens of a
        vocabulary of whole words are joined by a blank.

        Args:
            tokens: int, of any shape, read in row-major order.

        Raises:
            UsageError: an index outside the vocabulary.
        """
        tokens = np.asarray(tokens).reshape(-1)
        outside = np.flatnonzero((tokens < 0) | (tokens >= len(self)))
        if outside.size:
            position = int(outside[0])
            raise UsageError(
                f"token {tokens[position]} at position {position} is outside the vocabulary of"
                f" {len(self)}"
            )
        without_specials = tokens[tokens >= len(self.specials)]
        return str(self._tokenizer.decode(without_specials.tolist(), skip_special_tokens=False))

    def bytes(self) -> Int32[np.ndarray, " vocabulary"]:
        """Returns how many bytes each token encodes, int32 [vocabulary]; 0 for special tokens.

        Valid for byte pairs, not for a vocabulary of whole words.
        """
        # The library writes a byte as one character.
        sizes = [len(self._tokenizer.id_to_token(index) or "") for index in range(len(self))]
        return np.array([0] * len(self.specials) + sizes[len(self.specials) :], np.int32)

    def special(self, name: str) -> int:
        """Returns the index of a special token.

        Raises:
            UsageError: there is no such special token.
        """
        if name not in self.specials:
            raise UsageError(
                f"{name!r} is not among the special tokens"
                f" {', '.join(self.specials) or '(there are none)'}"
            )
        return self.specials.index(name)

    def save(self, path: Path) -> None:
        """Writes the vocabulary as a JSON file, which `load` reads, over an existing file."""
        path.write_text(
            json.dumps({"specials": self.specials, "tokenizer": json.loads(self.serialized)})
            + "\n",
            encoding="utf-8",
        )


def load(path: Path) -> Subwords:
    """Reads the vocabulary that `Subwords.save` wrote.

    Raises:
        UsageError: the file is missing or damaged.
    """
    try:
        serialized = json.loads(path.read_text(encoding="utf-8"))
        subwords = Subwords(json.dumps(serialized["tokenizer"]), tuple(serialized["specials"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} holds no vocabulary of byte pairs ({error}): name a file that Subwords.save"
            " wrote"
        ) from error
    len(subwords)  # parse it now: a damaged one must not fail in the middle of a run
    return subwords


def bpe(texts: Iterable[str], size: int, specials: Sequence[str] = ()) -> Subwords:
    """Trains a byte-pair vocabulary; the same texts give the same vocabulary.

    Args:
        texts: the texts.
        size: number of tokens, including the 256 bytes and the special tokens.
        specials: names of the special tokens.

    Returns:
        A vocabulary of exactly `size` tokens; the special tokens have the first indices.

    Raises:
        UsageError: `size` is too small for the 256 bytes and the special tokens, or larger than the
            vocabulary that the texts give; a special token has the name of a byte or of a subword
            of the vocabulary; or a text has a lone surrogate.
        ValueError: two special tokens have the same name.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    if size < 256 + len(specials):
        raise UsageError(
            f"a byte-pair vocabulary of {size} cannot hold 256 bytes and {len(specials)} specials:"
            " make it larger"
        )
    if len(set(specials)) != len(specials):
        raise ValueError(f"special tokens must differ: {list(specials)}")
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
    tokenizer.train_from_iterator(map(without_surrogates, texts), trainer)
    subwords = Subwords(tokenizer.to_str(), tuple(specials))
    merges = json.loads(subwords.serialized)["model"]["merges"]
    if taken := {*specials} & {*alphabet, *("".join(pair) for pair in merges)}:
        raise UsageError(
            f"{min(taken)!r} names a special token, and is a token of the texts as well: choose"
            f" another name, such as <|{min(taken)}|>"
        )
    if len(subwords) != size:
        raise UsageError(
            f"a vocabulary of {size} tokens is requested, but the texts give only {len(subwords)}:"
            f" request fewer, such as --vocabulary {len(subwords)}"
        )
    return subwords


def without_surrogates(text: str) -> str:
    """Returns the text itself.

    Raises:
        UsageError: it has a lone surrogate, half of a character; the message has its position.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError(
            f"the text that begins with {text[:40]!r} has half of a character (the lone surrogate"
            f" {text[error.start]!r}) at position {error.start}: remove it"
        ) from error
    return text
