"""Sources: random access to examples, before they are shuffled and batched."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Protocol

import numpy as np
from jaxtyping import Integer, UInt64

Batch = dict[str, np.ndarray]  # {field: [rows, ...]}


@dataclasses.dataclass(frozen=True)
class Info:
    """Which data a source has; written to every card.

    Attributes:
        name, version: of the data set.
        split: of the data set, with its slice.
        fingerprint: SHA-256 of the contents; of examples that are read or generated on demand, of
            what determines them.
        examples: number of examples.
    """

    name: str
    version: str
    split: str
    fingerprint: str
    examples: int


class Source(Protocol):
    """Random access to examples: any object with `len`, `info` and `gather`.

    A source that augments has a method `augmented` too, see `drawn`.
    """

    @property
    def info(self) -> Info:
        """Returns which data these are."""

    def __len__(self) -> int:
        """Number of examples."""

    def gather(self, index: Integer[np.ndarray, " rows"]) -> Batch:
        """Returns examples as new arrays {field: [rows, ...]}.

        Args:
            index: which examples, int [rows], in any order; one can occur several times.
        """


def drawn(
    source: Source, index: Integer[np.ndarray, " rows"], keys: UInt64[np.ndarray, "rows 2"]
) -> Batch:
    """Returns examples for training, by `source.augmented` if there is one, else by `gather`.

    Args:
        source: the examples.
        index: which examples, int [rows].
        keys: of the random generator of each row, uint64 [rows, 2].

    Returns:
        {field: [rows, ...]}, in the order of `index`.
    """
    augmented = getattr(source, "augmented", None)
    return source.gather(index) if augmented is None else augmented(index, keys)


def innermost(source: Source) -> Source:
    """Follows the attributes `source`, such as of pairs or transforms, to a source without one."""
    while (inner := getattr(source, "source", None)) is not None:
        source = inner
    return source


@dataclasses.dataclass(frozen=True, eq=False)
class Arrays:
    """Examples in arrays, in memory or memory-mapped.

    Attributes:
        arrays: {field: [examples, ...]}.
        info: which data these are.
    """

    arrays: Mapping[str, np.ndarray]
    info: Info

    def __len__(self) -> int:
        return self.info.examples

    def gather(self, index: Integer[np.ndarray, " rows"]) -> Batch:
        """Returns examples as new arrays, see `Source.gather`."""
        return {name: array[index] for name, array in self.arrays.items()}


@dataclasses.dataclass(frozen=True, eq=False)
class Windows:
    """Windows of one long text: `tokens` and `targets`, the same window one token later.

    With `stride=1` a window starts at every position (training); with `stride=length` every token
    but the first is a target once (evaluation). A last window that extends beyond the end is
    padded with 0, and `weight` is 0 where the target is padding, else 1.

    Attributes:
        text: tokens, int [n].
        length: tokens of a window.
        stride: distance of the starts of consecutive windows.
        info: which data these are; its `examples` is the number of windows.
    """

    text: Integer[np.ndarray, " n"]
    length: int
    stride: int
    info: Info

    def __len__(self) -> int:
        return self.info.examples

    def gather(self, index: Integer[np.ndarray, " rows"]) -> Batch:
        """Returns the windows `index`, int [rows].

        Returns:
            `tokens`, `targets` int32 and `weight` float32, each [rows, length]; `tokens` and
            `targets` are views of one array.
        """
        positions = np.asarray(index, np.int64)[:, None] * self.stride + np.arange(self.length + 1)
        inside = positions < len(self.text)
        window = np.where(inside, self.text[np.minimum(positions, len(self.text) - 1)], 0).astype(
            np.int32
        )
        return {
            "tokens": window[:, :-1],
            "targets": window[:, 1:],
            "weight": inside[:, 1:].astype(np.float32),
        }


@dataclasses.dataclass(frozen=True, eq=False)
class Partnered:
    """Examples with a partner from the same global batch, for mixup and CutMix.

    A batch has each field of the source, and beside it `partner_<field>`, that of the partner.

    The stream takes the example of the next row of the global batch as partner, and for the last
    row that of the first. So it is as random as the shuffle, another one in each epoch, and the
    same for any number of processes, devices and microbatches, without communication.

    Attributes:
        source: the examples.
    """

    source: Source

    @property
    def info(self) -> Info:
        """Returns the info of the source."""
        return self.source.info

    def __len__(self) -> int:
        return len(self.source)

    def gather(self, index: Integer[np.ndarray, " rows"]) -> Batch:
        """Returns examples that are their own partners; the stream calls `with_paired_examples`."""
        return self.with_paired_examples(index, index)

    def with_paired_examples(
        self, index: Integer[np.ndarray, " rows"], paired: Integer[np.ndarray, " rows"]
    ) -> Batch:
        """Returns the examples `index`, each with its partner of `paired`.

        Args:
            index, paired: the examples and their partners, int [rows].

        Returns:
            {field: [rows, ...]}, and `partner_<field>` [rows, ...] of each field.
        """
        return _paired(self.source.gather(index), self.source.gather(paired))

    def augmented_pairs(
        self,
        index: Integer[np.ndarray, " rows"],
        paired: Integer[np.ndarray, " rows"],
        keys: UInt64[np.ndarray, "rows 2"],
        paired_keys: UInt64[np.ndarray, "rows 2"],
    ) -> Batch:
        """Returns examples and partners as `with_paired_examples` does, each one by `drawn`.

        Args:
            index, paired: the examples and their partners, int [rows].
            keys, paired_keys: of the random generators of each, uint64 [rows, 2].

        Returns:
            The fields of `with_paired_examples`.
        """
        examples = drawn(self.source, index, keys)
        return _paired(examples, drawn(self.source, paired, paired_keys))


def _paired(examples: Batch, paired: Batch) -> Batch:
    return {**examples, **{f"partner_{name}": array for name, array in paired.items()}}


@dataclasses.dataclass(frozen=True, eq=False)
class First:
    """The first examples of a source, see `first`.

    Attributes:
        source: the examples.
        info: that of the source, with the reduced number of examples and the same fingerprint.
    """

    source: Source
    info: Info

    def __len__(self) -> int:
        return self.info.examples

    def gather(self, index: Integer[np.ndarray, " rows"]) -> Batch:
        """Returns examples as new arrays, see `Source.gather`."""
        return self.source.gather(index)

    def augmented(
        self, index: Integer[np.ndarray, " rows"], keys: UInt64[np.ndarray, "rows 2"]
    ) -> Batch:
        """Returns examples for training, see `drawn`."""
        return drawn(self.source, index, keys)


def first(source: Source, count: int) -> First:
    """Returns the first `count` examples of a source, or all of them where it has fewer."""
    count = min(count, len(source))
    return First(source, dataclasses.replace(source.info, examples=count))


def arrays(name: str, version: str, split: str, contents: Mapping[str, np.ndarray]) -> Arrays:
    """Returns a source of arrays in memory, with a fingerprint of their contents.

    Args:
        name, version, split: of the data.
        contents: {field: [examples, ...]}.

    Raises:
        ValueError: arrays of different lengths, or none.
    """
    contents = {key: np.ascontiguousarray(contents[key]) for key in sorted(contents)}
    lengths = {key: len(array) for key, array in contents.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"{name}/{split} needs arrays of one length and has {lengths}")
    return Arrays(
        contents,
        Info(name, version, split, fingerprint(contents), len(next(iter(contents.values())))),
    )


def windows(
    name: str, version: str, split: str, text: Integer[np.ndarray, " n"], length: int, stride: int
) -> Windows:
    """Returns a source of token windows, with a fingerprint of the text.

    Args:
        name, version, split: of the data.
        text: tokens, int [n].
        length: tokens of a window.
        stride: distance of the starts of consecutive windows.

    Raises:
        ValueError: the text has fewer than length + 1 tokens.
    """
    if len(text) < length + 1:
        raise ValueError(
            f"{name}/{split} has {len(text)} tokens: too few for a window of {length} and its"
            " targets"
        )
    full = (len(text) - 1 - length) // stride + 1
    incomplete = (full - 1) * stride + length < len(text) - 1  # never so with a stride of 1
    return Windows(
        text,
        length,
        stride,
        Info(name, version, split, fingerprint({"text": text}), full + incomplete),
    )


def fingerprint(contents: Mapping[str, np.ndarray]) -> str:
    """Returns the SHA-256, in hex, of names, dtypes, shapes and bytes in the order of the names."""
    digest = hashlib.sha256()
    for key in sorted(contents):
        array = np.ascontiguousarray(contents[key])
        digest.update(f"{key} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
