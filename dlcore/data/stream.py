"""Batches as a function of (seed, step).

Nothing has to be saved to resume, any step is reached in O(1), and the batches do not depend on the
number of processes.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Integer, UInt64

from dlcore.data.mapped import Mapped
from dlcore.data.source import Batch, Partnered, Source, drawn, innermost
from dlcore.data.workers import prepared

_DECODING_THREADS = 4  # that evaluation reads and decodes examples with


@functools.lru_cache(maxsize=4)
def permutation(n: int, seed: int, epoch: int) -> Integer[np.ndarray, " n"]:
    """Returns the order of `n` examples in an epoch, int32 [n] (int64 from n = 2^31 on).

    The array is cached: do not change it.

    Args:
        n: number of examples.
        seed, epoch: which determine the order.
    """
    bits = np.random.Philox(key=np.array([seed, epoch], np.uint64))
    return np.random.Generator(bits).permutation(
        np.arange(n, dtype=np.int32 if n < 2**31 else np.int64)
    )


@dataclasses.dataclass(frozen=True)
class Stream:
    """Shuffled batches of a source, in which every example occurs once per epoch.

    A batch is a dict of arrays [rows, ...] with the source's fields, `row` (int32, index in the
    global batch) and `mask` (float32, 1). A batch may contain examples of two epochs. Where the
    innermost source has a method `augmented`, examples are augmented (`source.drawn`) with random
    numbers from `keys`. Examples of `Partnered` come with their partners.

    Attributes:
        source: the examples.
        batch: number of examples of a global batch.
        seed: of the shuffle.
        rows: rows of the global batch that this process needs, int [rows].
        order: (number of examples, seed, epoch) -> order of the examples, see `permutation`.
    """

    source: Source
    batch: int
    seed: int
    rows: Integer[np.ndarray, " rows"]
    order: Callable[[int, int, int], np.ndarray] = permutation

    def index(self, step: int) -> Integer[np.ndarray, " rows"]:
        """Returns the indices in `source` of this process's rows at a step, from 0, int [rows]."""
        return self._examples(step, self.rows)

    def keys(self, step: int, rows: Integer[np.ndarray, " rows"]) -> UInt64[np.ndarray, "rows 2"]:
        """Returns the keys of the random generators of rows at a step, uint64 [rows, 2].

        A key is the seed and the example's number in the stream of all batches.

        Args:
            step: number of the batch, from 0.
            rows: rows of the global batch, int [rows].
        """
        numbers = step * self.batch + rows
        return np.stack([np.full_like(numbers, self.seed), numbers], -1).astype(np.uint64)

    def _examples(self, step: int, rows: np.ndarray) -> np.ndarray:
        n = len(self.source)
        position = step * self.batch + rows
        epoch, offset = position // n, position % n
        if epoch.min() == epoch.max():
            return self.order(n, self.seed, int(epoch[0]))[offset]
        return np.array(
            [self.order(n, self.seed, int(e))[w] for e, w in zip(epoch, offset, strict=True)]
        )

    @functools.cached_property
    def _every_time(self) -> Batch:
        return {"row": self.rows.astype(np.int32), "mask": np.ones(len(self.rows), np.float32)}

    def at(self, step: int) -> Batch:
        """Returns the batch at a step, from 0, of this process's rows."""
        return {**_gathered([self], [step]), **self._every_time}

    def steps(self, start: int, stop: int, threads: int = 1, workers: int = 0) -> Iterator[Batch]:
        """Yields the batch of each step in order, prepared ahead of time (`workers.prepared`).

        Args:
            start, stop: first step, from 0, and the one after the last.
            threads: number of threads.
            workers: number of worker processes in their place; 0: none.
        """
        return prepared(self.at, range(start, stop), threads, workers)


@dataclasses.dataclass(frozen=True)
class Streams:
    """The batches of several seeds, stacked as arrays [seeds, steps, rows, ...].

    Each seed's batches are those of its own `Stream`.

    Attributes:
        source: the examples.
        batch: examples per batch.
        seeds: of the shuffles.
    """

    source: Source
    batch: int
    seeds: Sequence[int]

    @functools.cached_property
    def _each(self) -> list[Stream]:
        # Every seed has its own order, and a batch can contain examples of two epochs.
        order = functools.lru_cache(maxsize=2 * len(self.seeds))(permutation.__wrapped__)
        return [
            Stream(self.source, self.batch, seed, np.arange(self.batch), order)
            for seed in self.seeds
        ]

    def at(self, step: int, steps: int = 1) -> Batch:
        """Returns the batches of the steps from `step` to step + steps - 1, gathered in one call.

        Args:
            step: the first step.
            steps: number of steps.

        Returns:
            {field: [seeds, steps, batch, ...]}.
        """
        shape = (len(self.seeds), steps, self.batch)
        batches = {
            name: x.reshape(*shape, *x.shape[1:])
            for name, x in _gathered(self._each, range(step, step + steps)).items()
        }
        return batches | {
            name: np.broadcast_to(x, shape) for name, x in self._each[0]._every_time.items()
        }

    def steps(
        self, start: int, stop: int, stride: int, threads: int = 1, workers: int = 0
    ) -> Iterator[Batch]:
        """Yields {field: [seeds, stride, batch, ...]}, prepared ahead of time (`workers.prepared`).

        Args:
            start, stop: first step, and the one after the last; their difference is a multiple of
                `stride`, or the last batch has steps from `stop` on.
            stride: number of steps in each yielded batch.
            threads: number of threads.
            workers: number of worker processes in their place; 0: none.
        """
        at = functools.partial(self.at, steps=stride)
        return prepared(at, range(start, stop, stride), threads, workers)


def _gathered(streams: Sequence[Stream], steps: Sequence[int]) -> Batch:
    """The examples of every step of every stream, concatenated."""
    first = streams[0]
    each = [(stream, step) for stream in streams for step in steps]
    index = np.concatenate([stream.index(step) for stream, step in each])
    source, augments = first.source, hasattr(innermost(first.source), "augmented")
    if not isinstance(source, Partnered) and not augments:
        return source.gather(index)
    next_row = (first.rows + 1) % first.batch
    keys, paired_keys = (
        np.concatenate([stream.keys(step, rows) for stream, step in each])
        for rows in (first.rows, next_row)
    )
    if not isinstance(source, Partnered):
        return drawn(source, index, keys)
    paired = np.concatenate([stream._examples(step, next_row) for stream, step in each])
    if not augments:
        return source.with_paired_examples(index, paired)
    return source.augmented_pairs(index, paired, keys, paired_keys)


def in_order(source: Source, batch: int, rows: Integer[np.ndarray, " rows"]) -> Iterator[Batch]:
    """Yields batches of the examples in order, each example once, by `gather` (not augmented).

    The last batch is padded to the same shape by repetitions of the first example, and `mask`
    (float32) is 0 on the padding, else 1. `row` (int32) is the example's index in the source, so
    that what a loss samples for an example does not depend on the batch size; it continues on the
    padding.

    Args:
        source: the examples.
        batch: number of examples of a global batch.
        rows: rows of the global batch that this process needs, int [rows].
    """

    def at(start: int) -> Batch:
        index = start + rows
        inside = index < len(source)
        gathered = source.gather(np.where(inside, index, 0))
        return {**gathered, "row": index.astype(np.int32), "mask": inside.astype(np.float32)}

    starts = range(0, len(source), batch)
    # Decoders of images release Python's lock; a gather from memory gains nothing by threads.
    slow = isinstance(innermost(source), Mapped)
    return prepared(at, starts, _DECODING_THREADS) if slow else map(at, starts)
