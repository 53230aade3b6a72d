"""`--out` with the ending of a file: one answer, one file, and nothing is overwritten."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcore.errors import UsageError
from dlcore.export.answers import Answered
from dlcore.export.outputs import OneFile, outputs
from dlcore.samples import Images, Table

pytestmark = pytest.mark.quick
PICTURE = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


def answered(count: int = 1) -> Answered:
    return Answered("a.jpg", {"file": "a.jpg"}, {}, Images("One", np.stack([PICTURE] * count)))


def test_a_picture_is_written_under_its_own_name_alone(tmp_path: Path) -> None:
    with outputs(tmp_path / "styled.PNG") as out:
        assert isinstance(out, OneFile)
        assert out.write(answered()) == ["styled.PNG"]
        out.record({"file": "a.jpg"})
    assert [each.name for each in tmp_path.iterdir()] == ["styled.PNG"]
    with Image.open(tmp_path / "styled.PNG") as image:
        np.testing.assert_array_equal(np.asarray(image), PICTURE)


def test_what_is_no_single_file_is_refused(tmp_path: Path) -> None:
    with outputs(tmp_path / "a.png") as out:
        out.write(answered())
        with pytest.raises(UsageError, match="there are more answers: name a folder"):
            out.write(answered())
    with pytest.raises(UsageError, match="is there already"):
        outputs(tmp_path / "a.png")
    with pytest.raises(UsageError, match="there is no folder"):
        outputs(tmp_path / "nowhere" / "b.png")
    for name, sample in (("b.png", answered(2)), ("c.gif", answered())):
        with (
            outputs(tmp_path / name) as out,
            pytest.raises(UsageError, match="of this model's answer are"),
        ):
            out.write(sample)
        assert not (tmp_path / name).exists()
    table = Answered("a", {}, {}, Table("None", ("a",), ()))
    with outputs(tmp_path / "d.png") as out, pytest.raises(UsageError, match="are none"):
        out.write(table)


def test_other_suffixes_of_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"styled.jpg: pictures are written as .png: name styled"):
        outputs(tmp_path / "styled.jpg")
    (tmp_path / "folder.jpg").mkdir()
    assert outputs(tmp_path / "folder.jpg")


def test_other_names_are_folders(tmp_path: Path) -> None:
    with outputs(tmp_path / "drawn") as out:
        out.write(answered())
    assert (tmp_path / "drawn" / "predictions.jsonl").exists()
    assert (tmp_path / "drawn" / "0000-a.png").exists()
