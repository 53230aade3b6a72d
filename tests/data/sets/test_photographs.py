"""Photographs: crops by index, photographs that training never sees, styles, own folders."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dlcore.data.sets import photographs
from dlcore.errors import UsageError
from dlcore.train import weights
from tests.data.own import made

pytestmark = pytest.mark.quick


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))


def test_a_crop_depends_on_its_index_and_shows_half_of_a_photograph_at_least() -> None:
    ramp = np.arange(200, dtype=np.uint8)
    picture = np.broadcast_to(ramp[None, :, None], (100, 200, 3)).copy()
    info = photographs.Info("ramp", "1", "train", "", 50)
    source = photographs.Crops([picture], 16, 3, info)
    crops = source.gather(np.arange(50))["image"]
    np.testing.assert_array_equal(source.gather(np.array([7]))["image"][0], crops[7])
    spans = abs(crops[:, 0, -1, 0].astype(int) - crops[:, 0, 0, 0])
    # the ramp rises by 1 a pixel: a crop spans its own side, less a pixel at both ends
    assert spans.min() >= 50 * 15 / 16 - 2
    assert spans.max() <= 100 * 15 / 16 + 2
    mirrored = crops[:, 0, -1, 0] < crops[:, 0, 0, 0]
    assert 10 < mirrored.sum() < 40


def test_colours_of_training_crops_change_by_channel() -> None:
    ramp = np.arange(60, 180, dtype=np.uint8)
    picture = np.broadcast_to(ramp[None, :, None], (100, 120, 3)).copy()
    info = photographs.Info("ramp", "1", "train", "", 300)
    plain, changed = (photographs.Crops([picture], 16, 3, info, c) for c in (0.0, 0.2))
    before, after = (
        crops.gather(np.arange(300))["image"].astype(float) for crops in (plain, changed)
    )
    lines = np.array(
        [
            [np.polyfit(x[0, :, c], y[0, :, c], 1) for c in range(3)]
            for x, y in zip(before, after, strict=True)
        ]
    )
    slopes, offsets = lines[..., 0], lines[..., 1] / 127.5
    for found, centre in ((slopes, 1), (offsets, 0)):
        np.testing.assert_allclose(
            [found.min(), found.max()], [centre - 0.2, centre + 0.2], atol=0.03
        )
        assert abs(np.corrcoef(found.T) - np.eye(3)).max() < 0.2  # each channel has its own
    fitted = lines[:, None, None, :, 0] * before + lines[:, None, None, :, 1]
    assert abs(fitted - after).max() < 1.5  # rounded, and nothing else has moved


def test_colours_of_held_out_crops_stay() -> None:
    splits, _ = photographs.load("offline", "starry_night", 16)
    assert [splits[split].colours for split in ("train", "validation", "test")] == [0.4, 0, 0]


def test_offline_parts_do_not_overlap_and_the_style_is_drawn() -> None:
    splits, style = photographs.load("offline", "starry_night", 16)
    assert style.shape == (256, 256, 3)
    assert splits.facts.fields["image"] == {"shape": [16, 16, 3], "dtype": "uint8"}
    left = splits.train.pictures[1]
    right = splits.test.whole["flower"]
    assert left.shape[1] + right.shape[1] == 640
    assert not (left[:, -right.shape[1] :] == right).all()
    assert not {*splits.validation.whole} & {*splits.test.whole}


def test_a_style_of_ones_own_and_one_that_is_missing(tmp_path: Path) -> None:
    file = made.image(tmp_path / "style.png", 1, (20, 30), "RGB")
    assert photographs.load("offline", str(file), 16)[1].shape == (30, 20, 3)
    with pytest.raises(UsageError, match="crops of 20 pixels: the features need a multiple of 8"):
        photographs.load("offline", str(file), 20)
    with pytest.raises(UsageError, match="no such file; the known styles are starry_night"):
        photographs.load("offline", "nothing.png", 16)


def test_own_photographs_are_split_by_their_contents(tmp_path: Path) -> None:
    for i in range(30):
        made.image(tmp_path / "own" / f"{i}.png", i, (40, 30), "RGB")
    style = made.image(tmp_path / "style.png", 1, (20, 30), "RGB")
    splits, _ = photographs.load(tmp_path / "own", str(style), 16)
    whole = {**splits.validation.whole, **splits.test.whole}
    assert len(whole) + len(splits.train.pictures) == 30
    with pytest.raises(UsageError, match="takes a folder of photographs"):
        photographs.load(tmp_path / "nowhere", str(style), 16)
    (tmp_path / "own" / "bad.png").write_text("no picture")
    with pytest.raises(UsageError, match="cannot be read as an image"):
        photographs.load(tmp_path / "own", str(style), 16)


def test_own_photographs_are_decoded_once_and_stay_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    for split, number in (("train", 3), ("validation", 1), ("test", 1)):
        for i in range(number):
            made.image(own / split / f"{i}.png", i, (9 + i, 7), "RGB")
    made.image(own / "train" / "grey.png", 5, (2000, 8), "L")
    parts = photographs._own(own)
    assert [len(parts[split]) for split in ("train", "validation", "test")] == [4, 1, 1]
    for file, found in parts["train"].items():
        with Image.open(file) as image:
            expected = image.convert("RGB")
        expected.thumbnail((1024, 1024))
        np.testing.assert_array_equal(found, np.asarray(expected))
    assert parts["train"][str(own / "train" / "grey.png")].shape == (4, 1024, 3)
    base: Any = found
    while getattr(base, "base", None) is not None:
        base = base.base
    assert isinstance(base, mmap.mmap)
    fingerprint = photographs.fingerprint(parts["train"])
    monkeypatch.setattr(photographs.image_decoding, "upright", None)  # nothing is decoded again
    assert photographs.fingerprint(photographs._own(own)["train"]) == fingerprint


def test_written_parameters_are_what_a_run_loads(tmp_path: Path) -> None:
    arrays = {"conv1_1/kernel": np.ones((3, 3, 3, 2), np.float32)}
    photographs.write(tmp_path / "a" / "b.npz", "vgg", arrays)
    found = weights.load(tmp_path / "a" / "b.npz")["params"]["vgg"]
    np.testing.assert_array_equal(found["conv1_1"]["kernel"], arrays["conv1_1/kernel"])


def test_waves_are_a_picture() -> None:
    assert Image.fromarray(photographs.waves(32)).size == (32, 32)
