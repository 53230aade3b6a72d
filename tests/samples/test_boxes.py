"""Boxes are drawn where they are, in the colour of their kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcore.samples import PartWriter
from dlcore.samples.boxes import COLOURS, Box, Boxes, draw

pytestmark = pytest.mark.quick
BLACK = np.zeros((100, 200, 3), np.uint8)


def test_a_small_image_is_enlarged_and_its_boxes_with_it() -> None:
    drawn = draw(
        BLACK, [Box((20, 10, 60, 40), kind="right"), Box((100, 50, 150, 90), kind="wrong")]
    )
    assert drawn.shape == (200, 400, 3)
    for left, top, right, bottom, kind in (
        (40, 20, 119, 79, "right"),
        (200, 100, 299, 179, "wrong"),
    ):
        painted = np.argwhere((drawn == COLOURS[kind]).all(-1))
        assert painted.min(0).tolist() == [top, left]
        assert painted.max(0).tolist() == [bottom, right]
        assert not drawn[top + 5 : bottom - 5, left + 5 : right - 5].any()


def test_boxes_without_size_and_beyond_the_border_are_drawn() -> None:
    drawn = draw(BLACK, [Box((-5, -5, 500, 300), "a name", "missed"), Box((7, 7, 7, 7), "x")])
    assert (drawn == COLOURS["missed"]).all(-1).any()
    assert (drawn == COLOURS["plain"]).all(-1).any()
    two = draw(BLACK, [Box((1, 1, 5, 5), "a\nname")])
    np.testing.assert_array_equal(two, draw(BLACK, [Box((1, 1, 5, 5), "a name")]))
    with pytest.raises(ValueError, match="an image is uint8"):
        draw(BLACK.astype(float), [])


def test_images_of_several_sizes_are_parts_of_their_own(tmp_path: Path) -> None:
    images = [BLACK, np.zeros((500, 300, 3), np.uint8)]
    sample = Boxes("Cells", images, [[], []], ("one", "two"), (True, False))
    first, second = sample.parts(PartWriter(tmp_path, 0, "Cells"))
    assert first["images"][0]["caption"] == "one"
    assert second["images"][0]["right"] is False
    with Image.open(tmp_path / second["images"][0]["file"]) as picture:
        assert picture.size == (300, 500)
    (both,) = Boxes("Cells", [BLACK, BLACK], [[], []]).parts(PartWriter(tmp_path, 1, "Cells"))
    assert len(both["images"]) == 2
