"""Random access to examples: what a data set is before it is shuffled and batched."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Protocol

import numpy as np

Batch = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Info:
    """Which data this is: stands in every card."""

    name: str
    version: str
    split: str
    fingerprint: str
    examples: int


class Source(Protocol):
    """Examples by number. `gather` returns new arrays whose first axis follows `index`."""

    @property
    def info(self) -> Info: ...

    def __len__(self) -> int: ...

    def gather(self, index: np.ndarray) -> Batch: ...


@dataclasses.dataclass(frozen=True, eq=False)
class Arrays:
    """Examples that lie in arrays (in memory or memory-mapped), all with the same first axis."""

    arrays: Mapping[str, np.ndarray]
    info: Info

    def __len__(self) -> int:
        return self.info.examples

    def gather(self, index: np.ndarray) -> Batch:
        return {name: array[index] for name, array in self.arrays.items()}


@dataclasses.dataclass(frozen=True, eq=False)
class Windows:
    """Windows of one long text: `tokens` [length] and `targets`, the same window one token later.

    With `stride=1` every position starts a window (training); with `stride=length` every token is a
    target once (evaluation). A last window that would run over the end is padded, and `weight` is 0
    on its padding.
    """

    text: np.ndarray
    length: int
    stride: int
    info: Info

    def __len__(self) -> int:
        return self.info.examples

    def gather(self, index: np.ndarray) -> Batch:
        at = np.asarray(index, np.int64)[:, None] * self.stride + np.arange(self.length + 1)
        inside = at < len(self.text)
        window = np.where(inside, self.text[np.minimum(at, len(self.text) - 1)], 0).astype(np.int32)
        return {
            "tokens": window[:, :-1],
            "targets": window[:, 1:],
            "weight": inside[:, 1:].astype(np.float32),
        }


@dataclasses.dataclass(frozen=True, eq=False)
class Partnered:
    """Examples that come with another one of the same global batch, `partner_<field>`, for what
    mixes two (mixup, cutmix).

    The stream gives the example of the next row. So a partner is as random as the shuffle, another
    one in each epoch, and the same for any number of processes, devices and microbatches: none of
    them has to ask another for it.
    """

    source: Source

    @property
    def info(self) -> Info:
        return self.source.info

    def __len__(self) -> int:
        return len(self.source)

    def gather(self, index: np.ndarray) -> Batch:
        return self.with_paired_examples(index, index)

    def with_paired_examples(self, index: np.ndarray, paired: np.ndarray) -> Batch:
        """The examples `index`, and beside each the one at the same place of `paired`."""
        others = {f"partner_{name}": array for name, array in self.source.gather(paired).items()}
        return {**self.source.gather(index), **others}


@dataclasses.dataclass(frozen=True, eq=False)
class First:
    """The first examples of a source."""

    source: Source
    info: Info

    def __len__(self) -> int:
        return self.info.examples

    def gather(self, index: np.ndarray) -> Batch:
        return self.source.gather(index)


def first(source: Source, count: int) -> First:
    """The first `count` examples of a source, or all of them where there are fewer."""
    count = min(count, len(source))
    return First(source, dataclasses.replace(source.info, examples=count))


def arrays(name: str, version: str, split: str, contents: Mapping[str, np.ndarray]) -> Arrays:
    """A source from arrays in memory, fingerprinted by its contents."""
    contents = {key: np.ascontiguousarray(contents[key]) for key in sorted(contents)}
    lengths = {key: len(array) for key, array in contents.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"{name}/{split} needs arrays of one length and has {lengths}")
    return Arrays(
        contents,
        Info(name, version, split, fingerprint(contents), len(next(iter(contents.values())))),
    )


def windows(
    name: str, version: str, split: str, text: np.ndarray, length: int, stride: int
) -> Windows:
    """A source of token windows, fingerprinted by the text."""
    if len(text) < length + 1:
        raise ValueError(
            f"{name}/{split} has {len(text)} tokens: too few for a window of {length} and its"
            " targets"
        )
    full = (len(text) - 1 - length) // stride + 1
    rest = (full - 1) * stride + length < len(text) - 1  # never so with a stride of 1
    return Windows(
        text, length, stride, Info(name, version, split, fingerprint({"text": text}), full + rest)
    )


def fingerprint(contents: Mapping[str, np.ndarray]) -> str:
    """sha256 over names, dtypes, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for key in sorted(contents):
        array = np.ascontiguousarray(contents[key])
        digest.update(f"{key} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
