"""Own images with masks that number instances."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from dlcore.data.sets import instances
from dlcore.errors import UsageError
from tests.data.own import made
from tests.data.own.test_masks import mask

pytestmark = pytest.mark.quick


def instance_folder(path: Path, values: np.ndarray) -> Path:
    """Two images a split, all with one mask."""
    for split in ("train", "validation", "test"):
        for i in range(2):
            made.image(path / split / "images" / f"{i}.png", i, (30, 24))
            mask(path / split / "masks" / f"{i}.png", values)
    return path


@pytest.mark.parametrize("second", [1, 300])
def test_instances_of_ones_own(tmp_path: Path, second: int) -> None:
    """A mask of numbers keeps them; one of black and white has an instance a connected area."""
    values = np.zeros((24, 30), np.uint16)
    values[2:10, 2:10], values[12:20, 15:25] = 1, second
    found = instances.load("nuclei_dsb2018", instance_folder(tmp_path, values), 0, 16)
    assert found.train.arrays["image"].shape[1:] == (16, 16, 1)
    for split in ("validation", "test"):
        source = found[split].arrays
        assert source["image"].shape[1:] == (24, 30, 1)
        for each in source["instances"]:
            assert set(np.unique(each)) == {0, 1, max(2, second)}
            assert ((each > 0) == (values > 0)).all()


def test_a_smoothed_mask_has_no_instance_for_each_grey_level(tmp_path: Path) -> None:
    values = np.zeros((24, 30), np.uint8)
    values[4:20, 5:25] = np.tril(np.full((16, 20), 255))
    blurred = np.asarray(Image.fromarray(values).filter(ImageFilter.GaussianBlur(1)))
    exact = np.kron(np.arange(20).reshape(4, 5), np.ones((6, 6))).astype(np.uint8)
    folder = instance_folder(tmp_path, exact)
    assert instances.load("nuclei_dsb2018", folder, 0, 16).facts.classes == list(instances.CLASSES)
    mask(folder / "test/masks/1.png", blurred)
    with pytest.raises(UsageError, match=r"test/masks/1\.png has .*: its edges look antialiased"):
        instances.load("nuclei_dsb2018", folder, 0, 16)


def test_faults_of_instances(tmp_path: Path) -> None:
    folder = instance_folder(tmp_path, np.zeros((24, 30), np.uint8))
    with pytest.raises(UsageError, match="no pixel of train is inside"):
        instances.load("nuclei_dsb2018", folder, 0, 16)
    mask(folder / "test/masks/1.png", np.zeros((24, 31), np.uint16))
    with pytest.raises(UsageError, match="a mask has the size of its image"):
        instances.load("nuclei_dsb2018", folder, 0, 16)
