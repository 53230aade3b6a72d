"""Faces and drives are prepared from their published files, with every example at its place."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dlcore.data import tfds
from dlcore.data.builders import extended_yale_b, orl_faces, udacity_track
from dlcore.data.builders.files import File
from dlcore.data.prepare import prepare
from dlcore.errors import UsageError


def given(folder: Path, name: str, content: bytes) -> File:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    return File(name, hashlib.sha256(content).hexdigest())


def prepared(name: str, tmp_path: Path) -> dict[str, np.ndarray]:
    prepare(name, data_dir=tmp_path / "data", manual_dir=tmp_path / "given", say=lambda _: None)
    return dict(tfds.load(name, "train", data_dir=tmp_path / "data").arrays)


def as_file(image: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=form)
    return buffer.getvalue()


@pytest.mark.slow
def test_people_of_orl_are_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as archive:
        for person in range(1, 41):
            content = as_file(Image.new("L", (92, 112), 5 * person), "PPM")
            member = tarfile.TarInfo(f"orl_faces/s{person}/1.pgm")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    file = given(tmp_path / "given", orl_faces.ARCHIVE.name, buffer.getvalue())
    with pytest.raises(UsageError, match="is not the file that the set is made of"):
        prepared("orl_faces", tmp_path)
    monkeypatch.setattr(orl_faces, "ARCHIVE", file)
    found = prepared("orl_faces", tmp_path)
    names = tfds.class_names("orl_faces", data_dir=tmp_path / "data")
    assert found["image"].shape == (40, 112, 92, 1)
    for image, label in zip(found["image"], found["label"], strict=True):
        assert names[label] == f"s{image[0, 0, 0] // 5}"


def test_people_of_yale_are_numbered_from_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = np.repeat(np.arange(1, 39), 2).astype(np.uint8)
    images = np.broadcast_to(person[:, None, None], (76, 32, 32))
    buffer = io.BytesIO()
    np.savez(buffer, images=images, person=person)
    file = given(tmp_path / "given", extended_yale_b.ARCHIVE.name, buffer.getvalue())
    monkeypatch.setattr(extended_yale_b, "ARCHIVE", file)
    found: Any = prepared("extended_yale_b", tmp_path)
    np.testing.assert_array_equal(found["image"][:, 3, 4, 0], found["label"] + 1)
    assert np.bincount(found["label"]).tolist() == [2] * 38


def test_frames_keep_their_place_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ["frame\tsteering\tthrottle\tbrake\tspeed\tin_zip"]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(8):
            inside = number % 2 == 0
            rows.append(f"f{number}.jpg\t{number / 10}\t0\t0\t{number}\t{int(inside)}")
            if inside:
                image = Image.new("RGB", (128, 64), (20 * number, 0, 0))
                archive.writestr(f"f{number}.jpg", as_file(image, "PNG"))
    log = gzip.compress("\n".join(rows).encode())
    folder = tmp_path / "given"
    frames = given(folder, udacity_track.FRAMES.name, buffer.getvalue())
    monkeypatch.setattr(udacity_track, "FRAMES", frames)
    monkeypatch.setattr(udacity_track, "LOG", given(folder, udacity_track.LOG.name, log))
    found = prepared("udacity_track", tmp_path)
    order = np.argsort(found["number"])
    assert found["number"][order].tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(found["steering"][order], [0, 0.2, 0.4, 0.6], rtol=1e-6)
    assert found["image"][order, 0, 0, 0].tolist() == [0, 40, 80, 120]
