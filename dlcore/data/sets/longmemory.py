"""The adding and the copy problem, which need memory over long sequences.

Example i is a function of (seed, i).
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Literal

import numpy as np
from jaxtyping import Integer

from dlcore.data.facts import Facts
from dlcore.data.source import Batch, Info
from dlcore.data.splits import Splits, is_offline
from dlcore.errors import UsageError
from dlcore.options import DataSource

Problem = Literal["adding", "copy"]
SYMBOLS, COPIED = 8, 10
BLANK, MARK = 0, SYMBOLS + 1  # of the copy problem's ten tokens; what is copied is 1..8
_SPLITS = {"train": 0, "validation": 1, "test": 2}
_EXAMPLES = {
    "adding": {"train": 200_000, "validation": 2000, "test": 10_000},
    "copy": {"train": 200_000, "validation": 1000, "test": 5000},
}
_SEEDS, _LONGEST = 2**12 // len(_SPLITS), 2**16 - 2


@dataclasses.dataclass(frozen=True)
class Generated:
    """Examples of a problem, generated when they are gathered; `adding` and `copy` list the fields.

    Attributes:
        problem: "adding" or "copy".
        length: of `adding` the length, of `copy` the delay.
        key: of the random numbers, different for each seed and split; example i is a function of
            (key, i).
        info: which data these are.
    """

    problem: Problem
    length: int
    key: int
    info: Info

    def __len__(self) -> int:
        return self.info.examples

    def gather(self, index: Integer[np.ndarray, " rows"]) -> Batch:
        """Generates examples as {field: [rows, ...]}, see `adding` and `copy`.

        Args:
            index: which examples, int [rows].
        """
        make = _adding if self.problem == "adding" else _copy
        return make(np.asarray(index, np.uint64), self.length, self.key)


def adding(length: int, split: str, examples: int, seed: int = 0) -> Generated:
    """Generates the adding problem: the sum of the two numbers that are marked in a sequence.

    `x` float32 [N, length, 2] is a number in [0, 1) and a mark, which is 1 at one position of each
    half; `target` float32 [N] is the sum of the marked numbers. Predicting 1 has a mean squared
    error of 1/6.

    Args:
        length: of a sequence, 2 to 65,533.
        split: train, validation or test; their examples differ.
        examples: number of examples.
        seed: 0 to 1364.

    Returns:
        The source; its `gather` generates the arrays.

    Raises:
        ValueError: another split, or `length` or `seed` outside its range.

    Source: Hochreiter & Schmidhuber 1997, sec. 5.4; marks as in Arjovsky et al. 2016, sec. 5.2.
    """
    if length < 2:
        raise ValueError(f"two marks need a length of at least 2, not {length}")
    return _generated("adding", length, split, examples, seed)


def copy(delay: int, split: str, examples: int, seed: int = 0) -> Generated:
    """Generates the copy problem: ten symbols, to be repeated after a delay.

    `tokens` int32 [N, delay + 20]: ten symbols of 1..8, delay - 1 blanks (0), a mark (9), and ten
    blanks; `targets` int32 [N, delay + 20]: delay + 10 blanks, then the ten symbols; `weight`
    float32 [N, delay + 20]: 1. Without memory the best mean cross-entropy is
    10 ln 8 / (delay + 20) nats.

    Args:
        delay: position of the mark minus that of the last symbol, 1 to 65,533.
        split: train, validation or test; their examples differ.
        examples: number of examples.
        seed: 0 to 1364.

    Returns:
        The source; its `gather` generates the arrays.

    Raises:
        ValueError: another split, or `delay` or `seed` outside its range.

    Source: Hochreiter & Schmidhuber 1997, sec. 5.1; as in Arjovsky et al. 2016, sec. 5.1.
    """
    if delay < 1:
        raise ValueError(f"the mark needs a delay of at least 1, not {delay}")
    return _generated("copy", delay, split, examples, seed)


def load(name: Problem, source: DataSource, length: int) -> Splits:
    """Returns a problem as splits: 200,000 training examples, validation and test, of seed 0.

    Validation and test have 2,000 and 10,000 examples of `adding`, and 1,000 and 5,000 of `copy`.

    Args:
        name: "adding" or "copy".
        source: the examples are generated, so that published and offline are the same.
        length: of `adding` the length, of `copy` the delay.

    Returns:
        Splits of `Generated`; `facts` has `problem` and `length`.

    Raises:
        UsageError: another name, or a path.
        ValueError: as `adding` and `copy`.
    """
    is_offline(name, source)
    if name not in _EXAMPLES:
        raise UsageError(f"{name!r} is no problem of long memory: choose {' or '.join(_EXAMPLES)}")
    make = adding if name == "adding" else copy
    found = {split: make(length, split, n) for split, n in _EXAMPLES[name].items()}
    return Splits.of(found, facts=Facts(problem=name, length=length))


def _generated(problem: Problem, length: int, split: str, examples: int, seed: int) -> Generated:
    if split not in _SPLITS:
        raise ValueError(f"{problem} has no split {split!r}: it has {', '.join(_SPLITS)}")
    # The 64 bits of a counter: 12 of the key, 36 of the example, 16 of the number within it.
    if not 0 <= seed < _SEEDS or length >= _LONGEST:
        raise ValueError(
            f"{problem} has seeds 0 to {_SEEDS - 1} and lengths below {_LONGEST}, not seed {seed}"
            f" and length {length}"
        )
    identity = f"{problem} {length} {split} {examples} {seed}"
    info = Info(
        f"{problem}_{length}",
        "1.0.0",
        split,
        hashlib.sha256(identity.encode()).hexdigest(),
        examples,
    )
    return Generated(problem, length, seed * len(_SPLITS) + _SPLITS[split], info)


def _bits(index: np.ndarray, key: int, count: int) -> np.ndarray:
    """Pseudo-random uint64 [N, count]: SplitMix64 (Steele et al. 2014) of key and index."""
    counter = (
        (np.uint64(key) << np.uint64(52))
        + (index[:, None] << np.uint64(16))
        + np.arange(count, dtype=np.uint64)
    )
    z: np.ndarray = (counter + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _adding(index: np.ndarray, length: int, key: int) -> Batch:
    bits, half, rows = _bits(index, key, length + 2), length // 2, np.arange(len(index))
    x = np.zeros((len(index), length, 2), np.float32)
    x[:, :, 0] = (bits[:, :length] >> np.uint64(40)).astype(np.float32) / 2**24
    first = bits[:, length] % np.uint64(half)
    second = np.uint64(half) + bits[:, length + 1] % np.uint64(length - half)
    x[rows, first.astype(int), 1] = x[rows, second.astype(int), 1] = 1
    return {"x": x, "target": (x[:, :, 0] * x[:, :, 1]).sum(-1)}


def _copy(index: np.ndarray, delay: int, key: int) -> Batch:
    symbols = (1 + _bits(index, key, COPIED) % np.uint64(SYMBOLS)).astype(np.int32)
    tokens = np.full((len(index), delay + 2 * COPIED), BLANK, np.int32)
    targets = tokens.copy()
    tokens[:, :COPIED], tokens[:, delay + COPIED - 1] = symbols, MARK
    targets[:, -COPIED:] = symbols
    return {"tokens": tokens, "targets": targets, "weight": np.ones(tokens.shape, np.float32)}
