"""Transforms that are cached, with a version of their own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from dlcore.data import cache
from dlcore.data.ragged import ragged
from dlcore.data.source import Arrays, Batch, Partnered, Source, arrays
from dlcore.data.splits import Splits
from dlcore.data.transforms import transformed
from dlcore.errors import UsageError
from tests.data.test_mapped import source as mapped_source

pytestmark = pytest.mark.quick
COUNT = 3000  # several chunks


class Counted:
    """A transform that counts the examples that it is applied to."""

    def __init__(self, factor: int = 2) -> None:
        self.factor, self.examples = factor, 0

    def __call__(self, batch: Batch) -> Batch:
        self.examples += len(batch["x"])
        return {"y": self.factor * batch["x"].astype(np.int32)}


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path))


def source(start: int = 0) -> Arrays:
    return arrays("set", "1", "train", {"x": np.arange(start, start + COUNT)})


def everything(found: Source) -> np.ndarray:
    return found.gather(np.arange(len(found)))["y"]


def test_a_cached_transform_is_computed_once_and_equals_an_uncached_one() -> None:
    first, again = Counted(), Counted()
    made = transformed(source(), first, "1")
    assert isinstance(made, Arrays)
    assert isinstance(made.arrays["y"], np.memmap)
    assert first.examples == 64 + COUNT
    np.testing.assert_array_equal(everything(made), everything(transformed(source(), Counted())))
    later = transformed(source(), again, "1")
    assert again.examples == 64
    assert later.info == made.info
    assert (made.info.name, made.info.split, made.info.examples) == ("set", "train", COUNT)
    assert made.info.fingerprint != source().info.fingerprint


def test_another_version_or_other_data_are_computed_again() -> None:
    def late(batch: Batch) -> Batch:  # differs beyond the first examples
        return {"y": (np.where(batch["x"] < 2000, 2, 3) * batch["x"]).astype(np.int32)}

    same = transformed(source(), Counted(), "1")
    stale = transformed(source(), late, "1")  # why the version must change
    np.testing.assert_array_equal(everything(stale), everything(same))
    changed = transformed(source(), late, "2")
    np.testing.assert_array_equal(everything(changed)[2000:], 3 * np.arange(2000, COUNT))
    other = transformed(source(), Counted(5), "1")  # what the first examples show needs none
    np.testing.assert_array_equal(everything(other), 5 * np.arange(COUNT))
    elsewhere = transformed(source(7), Counted(), "1")
    np.testing.assert_array_equal(everything(elsewhere), 2 * np.arange(7, 7 + COUNT))
    assert len({x.info.fingerprint for x in (same, changed, other, elsewhere)}) == 4


def test_splits_cache_each_split_and_keep_further_attributes() -> None:
    @dataclasses.dataclass(frozen=True, eq=False)
    class Named(Arrays):
        names: tuple[str, ...] = ()

    train = Named(source().arrays, source().info, names=("a",))
    validation = arrays("set", "1", "validation", {"x": np.arange(9)})
    splits = Splits.of(train=train, validation=validation)
    made = splits.map({"y": lambda batch: batch["x"] + 1}, version="1")
    assert made.train.names == ("a",)
    assert made.facts.fields.keys() == {"x", "y"}
    np.testing.assert_array_equal(made.validation.arrays["y"], np.arange(9) + 1)
    held_out = splits.map(train=Counted(), held_out=Counted(3), version="1")
    np.testing.assert_array_equal(held_out.validation.arrays["y"], 3 * np.arange(9))


def test_pairs_and_lists_are_transformed_too() -> None:
    pairs = transformed(Partnered(source()), Counted(), "1")
    assert isinstance(pairs, Partnered)
    np.testing.assert_array_equal(everything(pairs), 2 * np.arange(COUNT))
    lists = ragged("set", "1", "train", {"x": [np.arange(i) for i in range(5)]}, {"x": 4})
    total = transformed(lists, {"y": lambda b: (b["x"] * b["x_mask"]).sum(1)}, "1")
    np.testing.assert_array_equal(everything(total), [0, 0, 1, 3, 6])
    with pytest.raises(UsageError, match="is read when a batch needs it, and cannot be cached"):
        transformed(mapped_source(), {"z": lambda batch: batch["x"]}, "1")


def test_a_cached_transform_must_treat_every_example_by_itself() -> None:
    def centred(batch: Batch) -> Batch:
        return {"y": batch["x"] - batch["x"].mean()}

    with pytest.raises(UsageError, match="must treat every example by itself"):
        transformed(source(), centred, "1")

    def trimmed(batch: Batch) -> Batch:
        return {"y": np.zeros((len(batch["x"]), 1 + int(batch["x"].max() > 2500)))}

    with pytest.raises(UsageError, match=r"gives y float64 \(2,\) from example 2048 on"):
        transformed(source(), trimmed, "1")
    assert not list((cache.folder() / "transforms").glob("*"))
