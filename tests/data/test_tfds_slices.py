"""Slices of prepared splits: the examples that TFDS gives, and messages for wrong ones."""

from __future__ import annotations

import numpy as np
import pytest

from dlcore.data import tfds
from dlcore.errors import UsageError
from tests.data.tiny_pictures import FIXED

pytestmark = pytest.mark.usefixtures("places")


@pytest.mark.parametrize(
    ("written", "start", "stop"),
    [
        ("[:90%]", 0, 27),
        ("[90%:]", 27, 30),
        ("[5:]", 5, 30),
        ("[:-5]", 0, 25),
        ("[-10%:]", 27, 30),
        ("[3:7]", 3, 7),
    ],
)
def test_slices_are_those_of_tfds(written: str, start: int, stop: int) -> None:
    import tensorflow_datasets

    full = tfds.load("tiny_pictures", "test", features=FIXED)
    part = tfds.load("tiny_pictures", f"test{written}", features=FIXED)
    builder = tensorflow_datasets.builder_from_directory(tfds.find("tiny_pictures").folder)
    theirs = [example["number"] for example in builder.as_data_source(split=f"test{written}")]
    np.testing.assert_array_equal(part.arrays["number"], theirs)
    np.testing.assert_array_equal(part.arrays["number"], full.arrays["number"][start:stop])
    assert len(part) == part.info.examples == stop - start
    assert type(part.gather(np.arange(2))["image"]) is np.ndarray


def test_fingerprint_of_a_slice_tells_which_examples() -> None:
    infos = [
        tfds.load("tiny_pictures", f"test{part}", features=("label",)).info
        for part in ("", "[:15]", "[15:]", "[:50%]", "[:100%]")
    ]
    full, first, second, half, all_of_it = (info.fingerprint for info in infos)
    assert len({full, first, second}) == 3
    assert (half, all_of_it) == (first, full)
    assert [info.split for info in infos] == [
        "test",
        "test[:15]",
        "test[15:]",
        "test[:50%]",
        "test",
    ]


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("dev", "tiny_pictures 1.10.0 has no split 'dev': it has train, test, bad"),
        ("test[5]", "is not a split: write train"),
        ("test[1:2:3]", "is not a split: write train"),
        ("test[:5shard]", "is not a split: write train"),
        ("train+test", "is not a split: write train"),
        ("test[5:5]", "would be examples 5 to 5 of 30"),
        ("test[:31]", "would be examples 0 to 31 of 30"),
        ("test[:200%]", "would be examples 0 to 60 of 30"),
    ],
)
def test_wrong_splits_are_explained(split: str, message: str) -> None:
    with pytest.raises(UsageError) as error_info:
        tfds.load("tiny_pictures", split)
    assert message in str(error_info.value)
