"""Batches as a function of (seed, step): nothing to save, O(1) to seek, the same for any number of
processes.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from dlcore.data.source import Batch, Partnered, Source


@functools.lru_cache(maxsize=4)
def permutation(n: int, seed: int, epoch: int) -> np.ndarray:
    """The order of n examples in an epoch."""
    bits = np.random.Philox(key=np.array([seed, epoch], np.uint64))
    return np.random.Generator(bits).permutation(
        np.arange(n, dtype=np.int32 if n < 2**31 else np.int64)
    )


@dataclasses.dataclass(frozen=True)
class Stream:
    """Shuffled batches of `source`, every example once an epoch. `rows`: the part of the global
    batch that this process needs.

    A batch is a dict of arrays [rows, ...] with, beside the source's own, `row` (place in the
    global batch, int32) and `mask` (float32, 1 for an example that counts).
    """

    source: Source
    batch: int
    seed: int
    rows: np.ndarray
    order: Callable[[int, int, int], np.ndarray] = permutation

    def index(self, step: int) -> np.ndarray:
        """The examples of this process's rows at a step."""
        return self._examples(step, self.rows)

    def _examples(self, step: int, rows: np.ndarray) -> np.ndarray:
        n = len(self.source)
        place = step * self.batch + rows
        epoch, within = place // n, place % n
        if epoch.min() == epoch.max():
            return self.order(n, self.seed, int(epoch[0]))[within]
        return np.array(
            [self.order(n, self.seed, int(e))[w] for e, w in zip(epoch, within, strict=True)]
        )

    @functools.cached_property
    def _every_time(self) -> Batch:
        return {"row": self.rows.astype(np.int32), "mask": np.ones(len(self.rows), np.float32)}

    def at(self, step: int) -> Batch:
        """The batch at a step."""
        return {**_gathered([self], [step]), **self._every_time}

    def steps(self, start: int, stop: int, threads: int = 1) -> Iterator[Batch]:
        """The batches of steps start..stop, prepared ahead of time by Grain's threads."""
        import grain

        dataset = grain.MapDataset.range(start, stop).map(self.at)
        return iter(
            dataset.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=4))
        )


@dataclasses.dataclass(frozen=True)
class Streams:
    """The batches of several seeds side by side, as arrays [seeds, steps, rows, ...]: each seed's
    are those of its own `Stream`.
    """

    source: Source
    batch: int
    seeds: Sequence[int]

    @functools.cached_property
    def _each(self) -> list[Stream]:
        # Every seed has its own order, and a batch may reach from one epoch into the next.
        order = functools.lru_cache(maxsize=2 * len(self.seeds))(permutation.__wrapped__)
        return [
            Stream(self.source, self.batch, seed, np.arange(self.batch), order)
            for seed in self.seeds
        ]

    def at(self, step: int, steps: int = 1) -> Batch:
        """The batches of `steps` steps from `step` on, in one gather."""
        shape = (len(self.seeds), steps, self.batch)
        made = {
            name: x.reshape(*shape, *x.shape[1:])
            for name, x in _gathered(self._each, range(step, step + steps)).items()
        }
        return made | {
            name: np.broadcast_to(x, shape) for name, x in self._each[0]._every_time.items()
        }

    def steps(self, start: int, stop: int, stride: int, threads: int = 1) -> Iterator[Batch]:
        """The batches of steps start..stop, `stride` steps at a time, prepared ahead by Grain's
        threads.
        """
        import grain

        dataset = grain.MapDataset.range(start, stop, stride).map(
            lambda step: self.at(step, stride)
        )
        return iter(
            dataset.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=4))
        )


def _gathered(streams: Sequence[Stream], steps: Sequence[int]) -> Batch:
    """The examples of every step of every stream, one after the other."""
    first = streams[0]
    index = np.concatenate([stream.index(step) for stream in streams for step in steps])
    if not isinstance(first.source, Partnered):
        return first.source.gather(index)
    next_row = (first.rows + 1) % first.batch
    return first.source.with_paired_examples(
        index,
        np.concatenate([stream._examples(step, next_row) for stream in streams for step in steps]),
    )


def in_order(source: Source, batch: int, rows: np.ndarray) -> Iterator[Batch]:
    """Every example once, in order; the last batch is padded to the same shape and `mask` is 0 on
    the padding.

    `row` (int32) is the example's index in the source, so that what a loss draws for an example
    does not depend on the batch size; on the padding it goes on counting.
    """
    for start in range(0, len(source), batch):
        index = start + rows
        inside = index < len(source)
        gathered = source.gather(np.where(inside, index, 0))
        yield {**gathered, "row": index.astype(np.int32), "mask": inside.astype(np.float32)}
