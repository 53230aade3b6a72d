"""The baseline of detection: one answer for all images, from boxes alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from dlcore.data.sets import detection as sets
from dlcore.data.source import Arrays, arrays
from dlcore.tasks.detection_baseline import _grid, constant

pytestmark = pytest.mark.slow

CLASSES = 10


@pytest.fixture(scope="module")
def train() -> Any:
    return sets.load("bccd", "offline", (48, 48), 3, 3).train


@dataclasses.dataclass(frozen=True, eq=False)
class Watched:
    """A source whose arrays cannot be reached, and which gives 256 examples at a time."""

    inside: Arrays

    @property
    def info(self) -> Any:
        return self.inside.info

    def __len__(self) -> int:
        return len(self.inside)

    def gather(self, index: Any) -> Any:
        assert len(index) <= 256
        return self.inside.gather(index)


def test_it_is_right_where_all_images_are_alike(train: Any) -> None:
    repeated = {
        name: np.repeat(array, 4, 0) for name, array in train.gather(np.zeros(1, int)).items()
    }
    assert constant(arrays("a", "1", "train", repeated), CLASSES).confidence.max() == 1
    without = arrays("a", "1", "train", {**repeated, "count": np.zeros(4, np.int32)})
    assert len(constant(without, CLASSES).boxes) == 0


def test_tiny_boxes_are_not_tried_at_every_pixel(train: Any) -> None:
    one = {name: array.copy() for name, array in train.gather(np.zeros(1, int)).items()}
    left, top = one["boxes"][0, 0, :2]
    one["boxes"][0, 0] = left, top, left + 0.1, top + 0.1
    one["count"][0] = 1
    grid = _grid(one["boxes"][0, :1], one["extent"][0])
    assert 1000 < len(grid) <= 65 * 65
    assert len(constant(arrays("a", "1", "train", one), CLASSES).boxes) == 30


def test_few_images_are_read_at_a_time_and_none_for_mosaics_or_from_arrays(train: Any) -> None:
    known = arrays("a", "1", "train", train.gather(np.arange(300) % len(train)))
    expected = constant(known, CLASSES)
    assert len(expected.boxes) > 0
    unreadable: Any = Arrays({**known.arrays, "image": None}, known.info)  # type: ignore[dict-item]
    for source in (Watched(known), sets.Quadrupled(Watched(known)), unreadable):
        for found, right in zip(constant(source, CLASSES), expected, strict=True):
            np.testing.assert_array_equal(found, right)
