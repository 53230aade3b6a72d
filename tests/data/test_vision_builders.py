"""Builders of CamVid, nuclei and PneumoniaMNIST: what is read, and that other files are refused."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcore.data import tfds
from dlcore.data.builders import camvid, nuclei_dsb2018, pneumonia_mnist_3882
from dlcore.data.builders.files import File
from dlcore.data.prepare import prepare
from dlcore.errors import UsageError


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def png(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.slow
def test_camvid_has_images_and_maps_of_the_same_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, splits = tmp_path / "given", {}
    given.mkdir()
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (3, 180, 240, 3), np.uint8)
    maps = generator.integers(0, 12, (3, 360, 480), np.uint8)
    for split in camvid.SPLITS:
        both = []
        for kind, arrays in (("images", images), ("labels", maps)):
            path = given / f"{split}_{kind}.zip"
            with zipfile.ZipFile(path, "w") as archive:
                for name in ("b", "a", "c"):
                    archive.writestr(f"{name}.png", png(arrays["abc".index(name)]))
            both.append(File(path.name, sha256(path)))
        splits[split] = tuple(both)
    monkeypatch.setattr(camvid, "SPLITS", splits)
    prepare("camvid", data_dir=tmp_path / "data", manual_dir=given, say=lambda _: None)
    found = tfds.load("camvid", "validation", data_dir=tmp_path / "data").arrays
    for image, label_map in zip(found["image"], found["label_map"], strict=True):
        (at,) = [i for i in range(3) if (images[i] == image).all()]
        np.testing.assert_array_equal(label_map, maps[at])


def test_camvid_refuses_an_image_without_a_map(tmp_path: Path) -> None:
    for name, members in (("images", "ab"), ("labels", "a")):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            for member in members:
                archive.writestr(f"{member}.png", png(np.zeros((2, 2), np.uint8)))
    with pytest.raises(UsageError, match="b is in only one of"):
        next(camvid.pairs(tmp_path / "images.zip", tmp_path / "labels.zip"))


def test_nuclei_of_several_sizes_keep_their_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, digest = tmp_path / "given", hashlib.sha256()
    sizes = ((5, 7), (6, 4), (5, 7))
    for folder in ("images", "labels"):
        (given / folder).mkdir(parents=True)
        for number, size in enumerate(sizes):
            values = np.full(size, 300 + number, np.uint16)
            grey = np.full((*size, 4), 10 * number, np.uint8)
            content = png(grey if folder == "images" else values)
            (given / folder / f"{number}.png").write_bytes(content)
            digest.update(content)
    with pytest.raises(UsageError, match="are not those that the set is made of"):
        nuclei_dsb2018.files(given)
    monkeypatch.setattr(nuclei_dsb2018, "SHA256", digest.hexdigest())
    monkeypatch.setattr(nuclei_dsb2018, "TRAINING", 2)
    prepare("nuclei_dsb2018", data_dir=tmp_path / "data", manual_dir=given, say=lambda _: None)
    found = tfds.columns("nuclei_dsb2018", "train", data_dir=tmp_path / "data")
    for image, instances in zip(found["image"], found["instances"], strict=True):
        number = int(np.asarray(instances).max()) - 300
        assert np.asarray(image).shape == (*sizes[number], 3)
        assert (np.asarray(image) == 10 * number).all()
    with pytest.raises(UsageError, match="dlcore prepare nuclei_dsb2018 --manual-dir"):
        nuclei_dsb2018.files(tmp_path)


def test_pneumonia_has_three_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = tmp_path / "given"
    given.mkdir()
    arrays = {}
    for split, count in (("train", 4), ("val", 2), ("test", 3)):
        arrays[f"{split}_images"] = np.arange(count * 784).reshape(count, 28, 28).astype(np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count) % 2)[:, None]
    np.savez(given / "pneumoniamnist.npz", **arrays)
    archive = File("pneumoniamnist.npz", sha256(given / "pneumoniamnist.npz"))
    monkeypatch.setattr(pneumonia_mnist_3882, "ARCHIVE", archive)
    name = "pneumonia_mnist_3882"
    prepare(name, data_dir=tmp_path / "data", manual_dir=given, say=lambda _: None)
    assert tfds.class_names(name, data_dir=tmp_path / "data") == ("normal", "pneumonia")
    found = tfds.load(name, "validation", data_dir=tmp_path / "data").arrays
    order = np.argsort(found["label"])
    np.testing.assert_array_equal(found["label"][order], [0, 1])
    np.testing.assert_array_equal(found["image"][order][..., 0], arrays["val_images"])
