"""Two styles: outlines by hand, no pairs in training, the true pairs of the test split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlcore.data.sets import unpaired
from dlcore.errors import UsageError
from tests.data.own import made

pytestmark = pytest.mark.quick


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))


def test_an_outline_is_drawn_around_what_is_bright() -> None:
    image = np.zeros((1, 5, 5, 1), np.uint8)
    image[0, 2, 2] = 200
    made = unpaired.outlined(image)[0, ..., 0]
    assert made[2, 2] == 255
    around = np.ones((3, 3), bool)
    around[1, 1] = False
    assert (made[1:4, 1:4][around] == 55).all()
    assert (made[0] == 255).all()
    assert (unpaired.outlined(np.full((1, 5, 5, 1), 70, np.uint8)) == 255).all()


def test_training_has_no_pairs_and_the_test_split_all_of_them() -> None:
    found = unpaired.load("offline")
    train, test = found.train.arrays, found.test.arrays
    as_outlines = {each.tobytes() for each in unpaired.outlined(train["a"])}
    shared = sum(each.tobytes() in as_outlines for each in train["b"])
    assert shared < 3  # scikit-learn has a few digits twice
    assert set(train) == {"a", "b"}
    np.testing.assert_array_equal(unpaired.outlined(test["a"]), test["true_b"])
    np.testing.assert_array_equal(unpaired.outlined(test["true_a"]), test["b"])
    assert (test["label_a"] != test["label_b"]).any()
    assert (test["true_b"] != test["b"]).any()


@pytest.mark.slow
def test_own_folders_of_two_styles(tmp_path: Path) -> None:
    for name, count in (("ink", 40), ("oil", 30)):
        made.image_folder(tmp_path / "two", count, (name,), seed=count)
    found = unpaired.load(tmp_path / "two")
    assert found.facts.domains == ["ink", "oil"]
    assert not found.facts.digits
    assert found.facts.fields["a"]["shape"] == [28, 28, 3]
    assert len(found.train.arrays["a"]) == len(found.train.arrays["b"])
    made.image_folder(tmp_path / "two", 40, ("chalk",))
    with pytest.raises(UsageError, match="holds 3 folders of pictures"):
        unpaired.load(tmp_path / "two")
