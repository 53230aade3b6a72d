"""Builders of sets that TFDS prepares with TensorFlow: the same examples in the same order."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from dlcore.data import tfds
from dlcore.data.builders import bccd, fashion_mnist, mnist
from dlcore.data.builders.files import File
from dlcore.data.prepare import prepare
from dlcore.data.records import open_records

SHARED = Path(__file__).parents[2] / "../shared/data"
# of the IDX files of the test splits, decompressed: images and labels, as many others give them
MD5 = {
    "mnist": ("2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637"),
    "fashion_mnist": ("8181f5470baa50b63fa0f6fddb340f0a", "15d484375f8d13e6eb1aabb0c3f46965"),
}


def given(*names: str) -> pytest.MarkDecorator:
    missing = [name for name in names if not (SHARED / name).is_dir()]
    return pytest.mark.skipif(bool(missing), reason=f"needs shared/data/{missing}")


def voc(objects: list[tuple[str, int, int, int, int]]) -> str:
    """An annotation of an image of 640x480, of (class, left, top, right, bottom) in pixels."""
    boxes = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{left}</xmin><ymin>{top}</ymin>"
        f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
        for name, left, top, right, bottom in objects
    )
    return f"<annotation><size><width>640</width><height>480</height></size>{boxes}</annotation>"


def test_bccd_has_the_boxes_of_its_annotations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (640, 480), (200, 100, 50)).save(picture, "JPEG")
    annotated = {
        "A": [("Platelets", 64, 48, 650, 240), ("RBC", 0, 0, 320, 480)],
        "B": [],
        "C": [("WBC", 0, 0, 640, 480)],
    }
    archive = tmp_path / "cells.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for split, names in (("train", "A\nB\n"), ("val", "C\n"), ("test", "B\n")):
            opened.writestr(f"{bccd.FOLDER}/ImageSets/Main/{split}.txt", names)
        for name, objects in annotated.items():
            opened.writestr(f"{bccd.FOLDER}/Annotations/{name}.xml", voc(objects))
            opened.writestr(f"{bccd.FOLDER}/JPEGImages/{name}.jpg", picture.getvalue())
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    monkeypatch.setattr(bccd, "ARCHIVE", File(archive.name, sha256))
    data = tmp_path / "data"
    prepare("bccd", data_dir=data, manual_dir=tmp_path, say=lambda _: None)
    assert tfds.class_names("bccd", "objects/label", data_dir=data) == ("RBC", "WBC", "Platelets")
    assert tfds.find("bccd", data).splits == {"train": 2, "validation": 1, "test": 1}
    train = tfds.columns("bccd", "train", data_dir=data)
    by_name = dict(zip(train["image/filename"], train["objects"], strict=True))
    assert by_name.keys() == {"A\n", "B\n"}
    assert list(by_name["A\n"]["label"]) == [2, 0]
    # the right side is beyond the image
    np.testing.assert_allclose(by_name["A\n"]["bbox"], [[0.1, 0.1, 0.5, 1], [0, 0, 1, 0.5]])
    assert len(by_name["B\n"]["label"]) == 0
    assert np.ptp(train["image"][0], (0, 1)).max() == 0


def test_tfds_keeps_its_builders_of_these_names() -> None:
    """Otherwise one of the two could not be imported after the other."""
    import tensorflow_datasets

    for ours in (bccd.Builder, mnist.Builder, fashion_mnist.Builder):
        theirs = tensorflow_datasets.builder_cls(ours.name)
        assert theirs.__module__.startswith("tensorflow_datasets.")
        assert theirs.VERSION == ours.VERSION


@pytest.mark.nightly
@given("bccd", "tfds/bccd")
def test_bccd_is_the_set_that_tfds_prepares(tmp_path: Path) -> None:
    folder = prepare("bccd", data_dir=tmp_path, manual_dir=SHARED / "bccd", say=lambda _: None)
    ours, theirs = (tfds.find("bccd", root) for root in (tmp_path, SHARED / "tfds"))
    assert ours.splits == theirs.splits == {"train": 205, "validation": 87, "test": 72}
    assert described(folder) == described(theirs.folder)
    for split in ours.splits:
        both = (open_records(prepared, split)[0] for prepared in (ours, theirs))
        for one, other in zip(*both, strict=True):
            assert one["image/filename"] == other["image/filename"]
            np.testing.assert_array_equal(one["image"], other["image"])
            for field in ("bbox", "label"):
                np.testing.assert_array_equal(one["objects"][field], other["objects"][field])


def described(folder: Path) -> tuple[object, dict[str, str]]:
    """The features of a prepared set, and the names of its classes by file."""
    classes = {path.name: path.read_text() for path in folder.glob("*.labels.txt")}
    return json.loads((folder / "features.json").read_text()), classes


def idx_files(folder: Path, stem: str, images: np.ndarray, labels: np.ndarray) -> list[File]:
    """Writes images and labels as IDX, and returns what a builder must know of both files."""
    count, found = len(images).to_bytes(4, "big"), []
    side = (28).to_bytes(4, "big")
    for kind, header, values in (
        ("images-idx3", b"\0\0\x08\x03" + count + side + side, images),
        ("labels-idx1", b"\0\0\x08\x01" + count, labels),
    ):
        path = folder / f"{stem}-{kind}-ubyte.gz"
        path.write_bytes(gzip.compress(header + values.astype(np.uint8).tobytes(), 1))
        found.append(File(path.name, hashlib.sha256(path.read_bytes()).hexdigest()))
    return found


@pytest.mark.parametrize(
    ("builder", "sevenths"), [(mnist, None), (fashion_mnist, "Sneaker")], ids=["mnist", "fashion"]
)
def test_images_keep_their_labels(
    builder: ModuleType, sevenths: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8)
    labels = np.array([3, 1, 4, 9, 7])
    splits = {
        split: tuple(idx_files(tmp_path, stem, images[:count], labels[:count]))
        for split, stem, count in (("train", "train", 5), ("test", "t10k", 2))
    }
    # the names under which the real files are fetched
    assert {s: [f.name for f in both] for s, both in splits.items()} == {
        s: [f.name for f in both] for s, both in builder.SPLITS.items()
    }
    monkeypatch.setattr(builder, "SPLITS", splits)
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))
    name, data = builder.Builder.name, tmp_path / "data"
    prepare(name, data_dir=data, manual_dir=tmp_path, say=lambda _: None)
    assert tfds.find(name, data).splits == {"train": 5, "test": 2}
    found = tfds.load(name, "train", data_dir=data).arrays
    indices = [labels.tolist().index(label) for label in found["label"]]
    np.testing.assert_array_equal(found["image"][..., 0], images[indices])
    if sevenths:
        assert tfds.class_names(name, data_dir=data)[7] == sevenths


@pytest.mark.nightly
@pytest.mark.parametrize(
    "builder",
    [
        pytest.param(mnist, marks=given("tfds/mnist"), id="mnist"),
        pytest.param(fashion_mnist, marks=given("tfds/fashion_mnist"), id="fashion_mnist"),
    ],
)
def test_the_test_split_is_the_one_that_tfds_prepares(
    builder: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The original files are restored from the set of TFDS; checksums prove that they are these."""
    from tensorflow_datasets.core.hashing import Hasher

    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))
    name = builder.Builder.name
    expected = tfds.load(name, "test", data_dir=SHARED / "tfds").arrays
    hasher = Hasher("test")  # TFDS sorts examples by the hash of their number
    order = sorted(range(10_000), key=lambda number: hasher.hash_key(str(number)))
    images, labels = np.empty((10_000, 28, 28), np.uint8), np.empty(10_000, np.uint8)
    images[order], labels[order] = expected["image"][..., 0], expected["label"]
    both = idx_files(tmp_path, "t10k", images, labels)
    restored = [gzip.decompress((tmp_path / file.name).read_bytes()) for file in both]
    assert tuple(hashlib.md5(content).hexdigest() for content in restored) == MD5[name]
    monkeypatch.setattr(builder, "SPLITS", {"test": tuple(both)})
    folder = prepare(name, data_dir=tmp_path, manual_dir=tmp_path, say=lambda _: None)
    assert described(folder) == described(tfds.find(name, SHARED / "tfds").folder)
    found = tfds.load(name, "test", data_dir=tmp_path)
    for field, array in found.arrays.items():
        np.testing.assert_array_equal(array, expected[field])
