"""Photographs beside styles: the unseen style is in no crop, and crops depend on their index."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlcore.data.sets import photographs, styles
from dlcore.data.splits import Splits

pytestmark = pytest.mark.quick


def styled() -> tuple[Splits, np.ndarray]:
    plain, unseen = photographs.load("offline", "starry_night", 16, examples=40, held_out=8)
    return styles.with_styles(plain, "offline", unseen), unseen


def test_each_crop_of_a_photograph_has_one_of_a_style() -> None:
    splits, unseen = styled()
    plain, _ = photographs.load("offline", "starry_night", 16, examples=40, held_out=8)
    index = np.array([3, 0, 39])
    batch = splits.train.gather(index)
    assert {name: x.shape for name, x in batch.items()} == dict.fromkeys(
        ("image", "style"), (3, 16, 16, 3)
    )
    np.testing.assert_array_equal(batch["image"], plain.train.gather(index)["image"])
    np.testing.assert_array_equal(splits.train.gather(index[1:])["style"], batch["style"][1:])
    assert splits.facts.style == "starry_night"
    test: Any = splits.test
    assert [*test.whole] == ["flower"]
    np.testing.assert_array_equal(test.unseen, unseen)
    train: Any = splits.train
    assert not any(np.array_equal(each, unseen) for each in train.styles.pictures)
    assert len(train.styles.pictures) == 4  # a drawn style twice, and two photographs
    marks = {info["fingerprint"] for info in splits.facts.sources.values()}
    assert len(marks) == 3
    assert marks.isdisjoint(info["fingerprint"] for info in plain.facts.sources.values())
