"""Three parts that share no example."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from dlcore.data.sets import images


def test_offline_the_parts_are_the_digits_and_share_none() -> None:
    parts, names = images.splits("whatever", 1, offline=True)
    assert tuple(parts) == images.SPLITS
    assert names == tuple("0123456789")
    seen = [
        {image.tobytes() for image in np.asarray(part.arrays["image"])} for part in parts.values()
    ]
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert sum(len(part) for part in parts.values()) == 1797


@pytest.mark.skipif(
    not (
        Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser()
        / "fashion_mnist"
    ).is_dir(),
    reason="needs the prepared fashion_mnist",
)
def test_training_and_validation_are_the_two_sides_of_the_cut() -> None:
    parts, names = images.splits("fashion_mnist", 59_990, offline=False)
    assert [len(parts[split]) for split in images.SPLITS] == [59_990, 10, 10_000]
    assert [part.info.split for part in parts.values()] == [
        "train[:59990]",
        "train[59990:]",
        "test",
    ]
    assert len(names) == 10
