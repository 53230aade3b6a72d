"""CIFAR-10 from mosaics: each tile at its place, and nothing prepared from other files than the
known ones.
"""

from __future__ import annotations

import hashlib
import lzma
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcore.data import tfds
from dlcore.data.builders import cifar10_jpeg
from dlcore.data.prepare import prepare
from dlcore.errors import UsageError


def test_tiles_come_row_by_row() -> None:
    mosaic = np.zeros((25 * 32, 40 * 32, 3), np.uint8)
    mosaic[2 * 32 : 3 * 32, 5 * 32 : 6 * 32] = np.arange(32 * 32 * 3).reshape(32, 32, 3) % 256
    cut = cifar10_jpeg.tiles(mosaic)
    assert cut.shape == (1000, 32, 32, 3)
    np.testing.assert_array_equal(cut[2 * 40 + 5], np.arange(32 * 32 * 3).reshape(32, 32, 3) % 256)
    assert not np.delete(cut, 2 * 40 + 5, 0).any()


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One mosaic a split, image i in one grey, i of class i % 10; the builder
    takes these for the right files.
    """
    folder = tmp_path / "given"
    folder.mkdir()
    # Greys of 0 to 249: lossless in WebP, and nearly so in JPEG.
    greys = (
        np.repeat(np.arange(1000) % 250, 32 * 32 * 3)
        .reshape(25, 40, 32, 32, 3)
        .transpose(0, 2, 1, 3, 4)
    )
    mosaic = Image.fromarray(greys.reshape(25 * 32, 40 * 32, 3).astype(np.uint8))
    checksums = {}
    for split, (kind, _) in cifar10_jpeg.SPLITS.items():
        mosaic.save(
            folder / f"{split}_00.{kind}",
            **({"lossless": True} if kind == "webp" else {"quality": 90}),
        )
        names = "\n".join(
            f"{split}/{cifar10_jpeg.CLASSES[i % 10]}/{i:04d}.png" for i in range(1000)
        )
        (folder / f"{split}_names.txt.xz").write_bytes(lzma.compress(names.encode()))
        content = b"".join(path.read_bytes() for path in sorted(folder.glob(f"{split}_*")))
        checksums[split] = (kind, hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(cifar10_jpeg, "SPLITS", checksums)
    return folder


@pytest.mark.slow
def test_prepares_images_with_their_labels(small: Path, tmp_path: Path) -> None:
    prepare("cifar10_jpeg", data_dir=tmp_path / "data", manual_dir=small, say=lambda _: None)
    assert tfds.class_names("cifar10_jpeg", data_dir=tmp_path / "data") == tuple(
        cifar10_jpeg.CLASSES
    )
    for split, off in (("train", 2), ("test", 0)):
        found = tfds.load("cifar10_jpeg", split, data_dir=tmp_path / "data").arrays
        grey = found["image"].astype(int)
        assert np.ptp(grey, (1, 2, 3)).max() <= off
        middle = np.sort(grey.reshape(1000, -1).mean(1))
        np.testing.assert_allclose(middle, np.sort(np.arange(1000) % 250), atol=off)
        assert (np.bincount(found["label"]) == 100).all()
        if not off:  # 250 greys and 10 classes: the grey tells the class
            np.testing.assert_array_equal(found["label"], grey[:, 0, 0, 0] % 10)


def test_other_files_are_refused(small: Path, tmp_path: Path) -> None:
    (small / "test_00.webp").write_bytes(b"another")
    with pytest.raises(UsageError, match="are not those that the set is made of"):
        cifar10_jpeg.files(small, "test")
    with pytest.raises(
        UsageError,
        match=r"test_00.webp and its like must be given: dlcore prepare cifar10_jpeg --manual-dir",
    ):
        cifar10_jpeg.files(tmp_path, "test")
