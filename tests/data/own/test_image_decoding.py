"""One image: decoding by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcore.data.own import image_decoding
from dlcore.errors import UsageError

pytestmark = pytest.mark.quick


def test_what_decoding_does_by_hand(tmp_path: Path) -> None:
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3) * 50
    file = tmp_path / "a.png"
    Image.fromarray(grey).save(file)
    np.testing.assert_array_equal(image_decoding.read(file, (2, 3, 1))[..., 0], grey)
    np.testing.assert_array_equal(image_decoding.read(file, (2, 3)), grey)
    np.testing.assert_array_equal(image_decoding.read(file, (2, 3, 3)), np.stack([grey] * 3, -1))
    # upright: orientation 6 is a picture that lies on its left side
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(grey).save(file, exif=exif)
    np.testing.assert_array_equal(image_decoding.read(file, (3, 2)), np.rot90(grey, -1))
    with Image.open(file) as opened:
        np.testing.assert_array_equal(image_decoding.of_value(opened, (3, 2)), np.rot90(grey, -1))
        np.testing.assert_array_equal(image_decoding.of_pillow(opened), np.rot90(grey, -1))
    # 16 bits: the upper 8 of each
    Image.fromarray(grey.astype(np.uint16) * 256 + 99).save(file)
    np.testing.assert_array_equal(image_decoding.read(file, (2, 3)), grey)
    deep = Image.fromarray(grey.astype(np.uint16) * 256 + 99)
    np.testing.assert_array_equal(image_decoding.of_value(deep, (2, 3)), grey)
    for levels in (grey.astype(np.int32), grey.astype(np.float32)):  # of modes "I" and "F"
        np.testing.assert_array_equal(
            image_decoding.of_value(Image.fromarray(levels), (2, 3)), grey
        )
    for wrong in (np.full((2, 3), 1 << 17, np.int32), np.full((2, 3), 0.5, np.float32)):
        with pytest.raises(UsageError, match="are not integers of at most 16 bits"):
            image_decoding.of_value(Image.fromarray(wrong), (2, 3))
    # lightness 0, 50 and 100 % of CIELAB
    levels = np.array([[[level, 0, 0] for level in (0, 128, 255)]], np.uint8)
    lab = Image.frombytes("LAB", (3, 1), levels.tobytes())
    lab.save(tmp_path / "a.tif")
    found = image_decoding.read(tmp_path / "a.tif", (1, 3))[0].tolist()
    assert found[0] < 5 < 100 < found[1] < 140 < 250 < found[2]
    # transparency is left out; of an animation the first frame counts
    Image.fromarray(np.stack([grey] * 3 + [grey * 0], -1), "RGBA").save(file)
    np.testing.assert_array_equal(image_decoding.read(file, (2, 3)), grey)
    frames = [Image.fromarray(np.full((2, 3), level, np.uint8)) for level in (255, 0)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert image_decoding.read(tmp_path / "a.gif", (2, 3)).min() == 255


def test_sixteen_bits_of_which_few_levels_would_remain_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    levels = np.linspace(0, 4095, 6).astype(np.uint16).reshape(2, 3)
    Image.fromarray(levels).save(file)
    with pytest.raises(
        UsageError,
        match=r"a\.tif cannot be read as an image \(its largest value of 16 bits is 4095, and 8"
        r" bits would keep 16 levels: multiply the values of the whole set by one factor",
    ):
        image_decoding.read(file, (2, 3))
    for few in (levels, levels.astype(np.int32), np.ones((2, 3), np.uint16)):
        with pytest.raises(UsageError, match="8 bits would keep"):
            image_decoding.of_value(Image.fromarray(few), (2, 3))
    for enough in (levels + 1, levels * 16, levels * 0):
        found = image_decoding.of_value(Image.fromarray(enough.astype(np.uint16)), (2, 3))
        np.testing.assert_array_equal(found, enough >> 8)
