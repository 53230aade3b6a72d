"""Batches as a function of (seed, step)."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcore.data.source import Batch, Partnered, Source, arrays
from dlcore.data.stream import Stream, Streams, in_order, permutation

pytestmark = pytest.mark.quick
SIZES = st.integers(1, 40)
GOLDEN = ([0, 7, 8, 6, 9, 5, 1, 3, 2, 4], [8, 4, 5, 3, 6, 0, 9, 7, 1, 2])


def source(n: int) -> Source:
    """Examples that are their own numbers."""
    return arrays("set", "1", "train", {"x": np.arange(n), "y": 10 * np.arange(n)[:, None]})


def stream(n: int, batch: int, seed: int = 0) -> Stream:
    """All rows of it, for one process."""
    return Stream(source(n), batch, seed, np.arange(batch))


@given(SIZES, SIZES, st.integers(0, 3))
def test_an_epoch_holds_every_example_once(n: int, batch: int, epoch: int) -> None:
    """Batches go on over the end of an epoch: cut anew, each n examples that follow one another are
    all of them.
    """
    first, last = epoch * n // batch, -(-(epoch + 1) * n // batch)
    drawn = np.concatenate([stream(n, batch).at(step)["x"] for step in range(first, last)])
    drawn = drawn[epoch * n - first * batch :][:n]
    np.testing.assert_array_equal(np.sort(drawn), np.arange(n))


@given(SIZES, SIZES, st.integers(0, 5), st.integers(0, 1000))
def test_a_batch_depends_on_seed_and_step_alone(n: int, batch: int, seed: int, step: int) -> None:
    permutation.cache_clear()
    once = stream(n, batch, seed).at(step)
    for other in (step + 7, 0, step + 1):
        stream(n, batch, seed + 1).at(other)
    again = stream(n, batch, seed).at(step)
    for name in ("x", "y", "row", "mask"):
        np.testing.assert_array_equal(once[name], again[name])
    np.testing.assert_array_equal(once["y"][:, 0], 10 * once["x"])
    np.testing.assert_array_equal(once["row"], np.arange(batch))
    np.testing.assert_array_equal(once["mask"], 1)
    assert (once["row"].dtype, once["mask"].dtype) == (np.int32, np.float32)


@given(SIZES, st.integers(1, 6), st.integers(1, 6), st.integers(0, 20))
def test_rows_of_several_processes_are_the_global_batch(
    n: int, processes: int, each: int, step: int
) -> None:
    batch = processes * each
    whole = stream(n, batch).at(step)
    parts = [
        Stream(source(n), batch, 0, np.arange(p * each, (p + 1) * each)).at(step)
        for p in range(processes)
    ]
    for name in whole:
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), whole[name])


def test_epochs_and_seeds_are_shuffled_differently_and_well() -> None:
    orders = [
        tuple(permutation(100, seed, epoch).tolist()) for seed in range(3) for epoch in range(3)
    ]
    assert len(set(orders)) == 9
    for order in orders:
        assert abs(np.corrcoef(order, np.arange(100))[0, 1]) < 0.3
    kept = sum(
        a == b
        for one, other in itertools.combinations(orders, 2)
        for a, b in zip(one, other, strict=True)
    )
    assert kept < 3 * 36  # one place in a hundred stays by chance


def test_the_order_is_the_same_for_ever() -> None:
    """Resuming and comparing runs rests on it. Where this changes, say so in the changelog: every
    run's data changes.
    """
    assert permutation(10, 0, 0).tolist() == GOLDEN[0]
    assert permutation(10, 7, 3).tolist() == GOLDEN[1]
    assert permutation(10, 0, 0).dtype == np.int32


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("start", [0, 5, 12])
def test_iterating_from_a_step_is_seeking(threads: int, start: int) -> None:
    here = stream(10, 4)
    seen = list(here.steps(start, 15, threads))
    assert len(seen) == 15 - start
    for step, batch in enumerate(seen, start):
        for name, array in here.at(step).items():
            np.testing.assert_array_equal(batch[name], array)
            assert batch[name].dtype == array.dtype


@given(SIZES, SIZES)
def test_in_order_every_example_counts_once(n: int, batch: int) -> None:
    batches = list(in_order(source(n), batch, np.arange(batch)))
    assert {len(b["x"]) for b in batches} == {batch}  # one shape, so one compilation
    counted = np.concatenate([b["x"][b["mask"] == 1] for b in batches])
    np.testing.assert_array_equal(counted, np.arange(n))
    assert sum(float((b["mask"] == 0).sum()) for b in batches) == -n % batch
    # A row is the example's index, whatever the batch size; the padding continues the count.
    np.testing.assert_array_equal(
        np.concatenate([b["row"] for b in batches]), np.arange(len(batches) * batch)
    )
    assert {b["row"].dtype for b in batches} == {np.dtype(np.int32)}


@given(SIZES, st.integers(1, 4), st.integers(1, 4))
def test_in_order_processes_share_the_batches(n: int, processes: int, each: int) -> None:
    batch = processes * each
    whole = list(in_order(source(n), batch, np.arange(batch)))
    parts = [
        list(in_order(source(n), batch, np.arange(p * each, (p + 1) * each)))
        for p in range(processes)
    ]
    # as many batches for each, also where one of them is all padding
    for step, together in enumerate(whole):
        for name in together:
            np.testing.assert_array_equal(
                np.concatenate([part[step][name] for part in parts]), together[name]
            )
    assert {len(part) for part in parts} == {len(whole)}


@given(SIZES, st.integers(1, 6), st.integers(1, 6), st.integers(0, 20))
def test_paired_examples_are_the_next_rows_of_the_global_batch(
    n: int, processes: int, each: int, step: int
) -> None:
    batch = processes * each
    alone, pairs = stream(n, batch).at(step), Partnered(source(n))
    parts = [
        Stream(pairs, batch, 0, np.arange(p * each, (p + 1) * each)).at(step)
        for p in range(processes)
    ]
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    assert set(whole) == {"x", "y", "row", "mask", "partner_x", "partner_y"}
    for name in alone:
        np.testing.assert_array_equal(whole[name], alone[name])
    np.testing.assert_array_equal(whole["partner_x"], np.roll(alone["x"], -1))
    np.testing.assert_array_equal(whole["partner_y"], np.roll(alone["y"], -1, 0))
    assert (pairs.info, len(pairs)) == (source(n).info, n)


@given(SIZES, SIZES, st.integers(0, 30), st.integers(1, 4), st.booleans())
def test_streams_of_several_seeds_are_each_seed_s_own(
    n: int, batch: int, step: int, steps: int, pairing: bool
) -> None:
    data: Source = Partnered(source(n)) if pairing else source(n)
    seeds = (5, 0, 3)
    beside = Streams(data, batch, seeds).at(step, steps)
    for index, seed in enumerate(seeds):
        for k in range(steps):
            alone = Stream(data, batch, seed, np.arange(batch)).at(step + k)
            assert beside.keys() == alone.keys()
            for name, want in alone.items():
                np.testing.assert_array_equal(beside[name][index, k], want)
                assert beside[name].dtype == want.dtype


def test_streams_iterate_a_stride_at_a_time() -> None:
    streams = Streams(source(10), 4, (0, 1))
    made = list(streams.steps(6, 12, stride=3))
    assert len(made) == 2
    np.testing.assert_array_equal(
        np.concatenate([each["x"] for each in made], axis=1), streams.at(6, 6)["x"]
    )


class Counted:
    """A source of one's own that counts the calls of `augmented`."""

    def __init__(self) -> None:
        self.examples = arrays("own", "1", "train", {"x": np.arange(8)})
        self.info, self.calls = self.examples.info, 0

    def __len__(self) -> int:
        return len(self.examples)

    def gather(self, index: np.ndarray) -> Batch:
        return self.examples.gather(index)

    def augmented(self, index: np.ndarray, keys: np.ndarray) -> Batch:
        assert keys.shape == (len(index), 2)
        self.calls += 1
        return {"x": -self.examples.gather(index)["x"]}


def test_a_source_of_ones_own_that_augments_is_augmented_in_training() -> None:
    source = Counted()
    batch = next(iter(Stream(source, 8, 0, np.arange(8)).steps(0, 1, 1)))
    assert sorted(batch["x"].ravel()) == [*range(-7, 1)]
    assert source.calls == 1
