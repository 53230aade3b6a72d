"""Emoji, paintings and VGG's features: prepared without TensorFlow, and what is read back."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcore.data import npz, tfds
from dlcore.data.builders import noto_emoji_captions, style_images, vgg16_imagenet_features
from dlcore.data.prepare import prepare
from dlcore.data.sets import captions, photographs
from dlcore.train import weights

FOLDER = Path(__file__).parents[2] / "../shared/data"


def given(name: str) -> pytest.MarkDecorator:
    missing = not (FOLDER / name).is_dir()
    return pytest.mark.skipif(missing, reason=f"needs shared/data/{name}")


def test_transparency_becomes_white() -> None:
    image = Image.new("RGBA", (60, 72), (255, 0, 0, 0))
    image.putpixel((0, 0), (0, 0, 255, 255))
    file = io.BytesIO()
    image.save(file, "PNG")
    found = noto_emoji_captions.on_white(file.getvalue()).copy()
    assert found.shape == (72, 72, 3)
    assert found[0, 6].tolist() == [0, 0, 255]  # in the middle of the width
    found[0, 6] = 255
    assert (found == 255).all()


@pytest.mark.nightly
@given("noto_emoji_captions")
def test_every_emoji_is_in_one_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))
    name = noto_emoji_captions.Builder.name
    prepare(name, manual_dir=FOLDER / name)
    columns = {split: tfds.columns(name, split) for split in captions.SPLITS}
    names = [each for split in columns.values() for each in split["caption"]]
    assert [len(split["caption"]) for split in columns.values()] == [1258, 169, 178]
    assert len(names) == 1605
    assert {"pizza", "keycap: #", "woman firefighter"} < set(names)
    assert np.stack(columns["test"]["image"]).shape == (178, 72, 72, 3)
    found = captions.load("published", 24)
    assert found.test.captions[0] == " ".join(captions.words(columns["test"]["caption"][0]))
    assert found.facts.fields["image"]["shape"] == [24, 24, 3]


@pytest.mark.nightly
@given("style_images")
def test_paintings_are_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    name = style_images.Builder.name
    prepare(name, manual_dir=FOLDER / name)
    splits, style = photographs.load("published", "shipwreck", 16)
    with Image.open(FOLDER / name / "shipwreck.jpg") as image:
        np.testing.assert_array_equal(style, np.asarray(image.convert("RGB")))
    seen = [fingerprint(each) for each in splits.train.pictures]
    assert set(splits.test.whole) == {"tubingen", "chelsea"}
    assert not {fingerprint(each) for each in splits.test.whole.values()} & {*seen}


def fingerprint(picture: np.ndarray) -> bytes:
    return picture.tobytes()


@pytest.mark.slow
@given("vgg16_imagenet_features")
def test_features_are_the_original_numbers_under_the_networks_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))
    name = vgg16_imagenet_features.Builder.name
    prepare(name, manual_dir=FOLDER / name)
    original = npz.read(FOLDER / name / vgg16_imagenet_features.WEIGHTS.name)
    loaded = weights.load(photographs.features())["params"]["vgg"]
    assert set(loaded) == {key.rsplit("_", 1)[0] for key in original}
    for key, array in original.items():
        layer, kind = key.rsplit("_", 1)
        np.testing.assert_array_equal(loaded[layer][kind], array.astype(np.float32))
