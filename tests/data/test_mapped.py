"""Sources that read, decode and augment examples when a batch needs them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dlcore.data import checks
from dlcore.data.mapped import Example, Mapped, generator, mapped
from dlcore.data.source import Partnered, arrays, first
from dlcore.data.splits import Splits
from dlcore.data.stream import Stream, Streams, in_order, permutation
from dlcore.errors import UsageError

pytestmark = pytest.mark.quick


@dataclasses.dataclass(frozen=True)
class Numbers:
    """Examples that are their numbers; `damaged` cannot be read."""

    count: int
    damaged: int = -1

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> Example:
        if index == self.damaged:
            raise OSError("no number")
        return {"x": np.int32(index)}

    def where(self, index: int) -> str:
        return f"number {index}"


def noisy(example: Example, random: np.random.Generator) -> Example:
    return {"x": example["x"], "y": np.float32(random.random())}


def plain(example: Example) -> Example:
    return {"x": example["x"], "y": np.float32(0)}


def source(count: int = 10, damaged: int = -1) -> Mapped:
    return mapped("numbers", "1", "train", Numbers(count, damaged), noisy, plain)


def stream(batch: int = 4, rows: np.ndarray | None = None, seed: int = 0) -> Stream:
    return Stream(source(), batch, seed, np.arange(batch) if rows is None else rows)


def test_training_batches_are_augmented_and_others_prepared() -> None:
    batch = stream().at(0)
    assert len(set(batch["y"].tolist())) == 4
    np.testing.assert_array_equal(source().gather(np.arange(3))["y"], 0)
    for held_out in in_order(source(), 4, np.arange(4)):
        np.testing.assert_array_equal(held_out["y"], 0)
    without = mapped("numbers", "1", "train", Numbers(10), prepare=plain)
    np.testing.assert_array_equal(Stream(without, 4, 0, np.arange(4)).at(0)["y"], 0)


def test_the_random_numbers_of_an_example_are_those_of_seed_and_number_in_the_stream() -> None:
    batch, order = stream().at(3), permutation(10, 0, 1)
    for row in range(4):
        number = 3 * 4 + row
        assert batch["x"][row] == order[number % 10]
        expected = generator(np.array([0, number], np.uint64)).random()
        assert batch["y"][row] == np.float32(expected)


def test_the_same_example_is_augmented_anew_in_each_epoch_and_with_each_seed() -> None:
    drawn = {}
    for seed in (0, 1):
        for step in range(5):  # two epochs
            batch = stream(seed=seed).at(step)
            for x, y in zip(batch["x"].tolist(), batch["y"].tolist(), strict=True):
                drawn.setdefault(x, []).append(y)
    assert {len(set(each)) for each in drawn.values()} == {4}


def test_rows_of_several_processes_are_the_global_batch() -> None:
    whole = stream().at(2)
    parts = [stream(rows=rows).at(2) for rows in (np.arange(2), np.arange(2, 4))]
    for name in whole:
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), whole[name])


def test_seeds_in_one_program_see_the_batches_of_each_alone() -> None:
    together = Streams(source(), 4, (3, 5)).at(2, steps=2)
    for number, seed in enumerate((3, 5)):
        for step in (0, 1):
            for name in ("x", "y"):
                alone = stream(seed=seed).at(2 + step)[name]
                np.testing.assert_array_equal(together[name][number, step], alone)


def test_what_wraps_a_source_keeps_its_augmentation() -> None:
    alone = stream().at(1)
    found = Splits(source()).map({"z": lambda batch: 2 * batch["y"]})
    np.testing.assert_array_equal(
        Stream(found.train, 4, 0, np.arange(4)).at(1)["z"], 2 * alone["y"]
    )
    few = Stream(first(source(), 10), 4, 0, np.arange(4)).at(1)
    np.testing.assert_array_equal(few["y"], alone["y"])
    pairs = Stream(Partnered(source()), 4, 0, np.arange(4)).at(1)
    for name in ("x", "y"):
        np.testing.assert_array_equal(pairs[name], alone[name])
        np.testing.assert_array_equal(pairs[f"partner_{name}"], np.roll(alone[name], -1))


def test_the_fingerprint_depends_on_contents_and_on_both_functions() -> None:
    items = Numbers(10)
    made = [
        source(),
        source(11),
        mapped("numbers", "1", "train", items, noisy, plain, contents="other"),
        mapped("numbers", "1", "train", items, None, plain),
        mapped("numbers", "1", "train", items, lambda e, r: noisy(e, r) | {"x": e["x"] + 1}, plain),
    ]
    assert len({each.info.fingerprint for each in made}) == 5
    assert source().info == source().info


def test_faults_name_the_example() -> None:
    with pytest.raises(UsageError, match=r"number 5 cannot be decoded \(OSError: no number\)"):
        source(damaged=5).gather(np.array([4, 5]))
    with pytest.raises(UsageError, match="has no examples"):
        source(0)

    def failing(example: Example) -> Example:
        raise ZeroDivisionError("mean of nothing")

    with pytest.raises(ZeroDivisionError) as error:
        mapped("numbers", "1", "train", Numbers(3), prepare=failing)
    assert error.value.__notes__ == ["The example was number 0."]
    growing = dataclasses.replace(source(), prepare=lambda e: {"x": np.zeros(e["x"])})
    with pytest.raises(UsageError, match=r"'x' of number 1 is float64 \(1,\), and that of"):
        growing.gather(np.array([1, 2]))
    with pytest.raises(UsageError, match=r"`augment` of numbers gives x int32 \(\), y float32"):
        mapped("numbers", "1", "train", Numbers(3), noisy)


def test_worker_processes_are_for_sources_that_are_not_in_memory() -> None:
    in_memory = arrays("set", "1", "train", {"x": np.arange(3)})
    checks.check_workers(in_memory, 0)
    checks.check_workers(Partnered(source()), 2)
    with pytest.raises(UsageError, match="--workers 2: the examples of split train"):
        checks.check_workers(in_memory, 2)
