"""The cache of decoded data: whole or absent, never half, and mended when damaged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from dlcore.data import cache
from dlcore.data.cache import Rows, cached
from dlcore.data.source import Arrays, Batch, fingerprint
from dlcore.errors import UsageError

IMAGE = np.arange(5 * 3 * 2, dtype=np.uint8).reshape(5, 3, 2)
LABEL = np.arange(5, dtype=np.int64)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def build() -> Rows:
    return 5, (
        {"image": IMAGE[part], "a/label": LABEL[part]} for part in (slice(0, 2), slice(2, 5))
    )


def never() -> Rows:
    raise AssertionError("built, although it lies in the cache")


def get(build: Callable[[], Rows] = build) -> Arrays:
    return cached("kind/set/1.0.0/train-0", "set", "1.0.0", "train", build)


def test_written_once_then_mapped(root: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is damaged where nothing is
        first, second = get(), get(never)
    for found in (first, second):
        np.testing.assert_array_equal(found.arrays["image"], IMAGE)
        np.testing.assert_array_equal(found.arrays["a/label"], LABEL)
        assert all(isinstance(array, np.memmap) for array in found.arrays.values())
        assert type(found.gather(np.array([1, 0]))["image"]) is np.ndarray
    assert first.info == second.info
    assert first.info.fingerprint == fingerprint(
        {"image": IMAGE, "a/label": LABEL.astype(np.int32)}
    )
    assert (first.info.name, first.info.version, first.info.split, first.info.examples) == (
        "set",
        "1.0.0",
        "train",
        5,
    )
    assert [path.name for path in (root / "kind/set/1.0.0").iterdir()] == ["train-0"]


def test_int64_becomes_int32_only_where_it_fits() -> None:
    small, large = np.array([-(2**31), 2**31 - 1]), np.array([0, 2**31])
    found = cached("x", "set", "1", "train", lambda: (2, [{"small": small, "large": large}]))
    assert {key: array.dtype for key, array in found.arrays.items()} == {
        "small": np.dtype(np.int32),
        "large": np.dtype(np.int64),
    }
    np.testing.assert_array_equal(found.arrays["small"], small)
    np.testing.assert_array_equal(found.arrays["large"], large)


def test_a_failure_leaves_nothing_behind(root: Path) -> None:
    def breaks() -> Rows:
        def chunks():  # type: ignore[no-untyped-def]
            yield {"image": IMAGE[:2]}
            raise RuntimeError("power cut")

        return 5, chunks()

    with pytest.raises(RuntimeError, match="power cut"):
        get(breaks)
    assert not [path for path in root.rglob("*") if path.is_file()]
    np.testing.assert_array_equal(get().arrays["image"], IMAGE)


def test_the_first_of_two_processes_wins(root: Path) -> None:
    """While we build, another process finishes the same entry."""
    entry, firsts = root / "kind/set/1.0.0/train-0", {}

    def slow() -> Rows:
        first = get(build)
        np.testing.assert_array_equal(first.arrays["image"], IMAGE)
        firsts.update({path.name: path.stat().st_ino for path in entry.iterdir()})
        return build()

    np.testing.assert_array_equal(get(slow).arrays["image"], IMAGE)
    # its files, not ours in their place
    assert firsts == {path.name: path.stat().st_ino for path in entry.iterdir()}
    assert [path.name for path in entry.parent.iterdir()] == ["train-0"]


def test_what_was_opened_stays_when_the_entry_is_replaced(root: Path) -> None:
    found = get()
    shutil.rmtree(root)
    np.testing.assert_array_equal(found.arrays["image"], IMAGE)


def test_left_overs_of_killed_processes_are_removed(root: Path) -> None:
    parent = root / "kind/set/1.0.0"
    ages = {
        ".new.building": 0.0,
        ".young.building": 23.9,
        ".old.building": 24.1,
        ".ancient.building": 9999.0,
    }
    for name, hours in ages.items():
        (parent / name).mkdir(parents=True)
        os.utime(parent / name, (0, time.time() - hours * 3600))
    get()
    assert sorted(path.name for path in parent.iterdir()) == [
        ".new.building",
        ".young.building",
        "train-0",
    ]


def test_a_place_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UsageError, match=rf"{tmp_path}/file/cache.*Not a directory.*DLCORE_CACHE"):
        get()


def test_a_full_disk_is_named(root: Path) -> None:
    """A limit on the size of a file replaces the full disk: the same error from the same
    call.
    """
    pytest.importorskip("resource")
    program = """
import resource, numpy as np
from dlcore.data.cache import cached
from dlcore.errors import UsageError
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    row = {"image": np.zeros((1, 1 << 18), np.uint8)}
    cached("big", "set", "1", "train", lambda: (8, (row for _ in range(8))))
except UsageError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "File too large" in done.stdout
    assert str(root) in done.stdout
    assert "DLCORE_CACHE" in done.stdout
    assert not list(root.iterdir())


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLCORE_CACHE", "~/own")
    assert cache.folder() == Path.home() / "own"
    monkeypatch.delenv("DLCORE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache.folder() == Path("/xdg/dlcore")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.folder() == Path.home() / ".cache" / "dlcore"


def test_meta_tells_what_lies_there(root: Path) -> None:
    get()
    meta = json.loads((root / "kind/set/1.0.0/train-0/meta.json").read_text())
    assert meta["info"]["examples"] == 5
    content = (root / "kind/set/1.0.0/train-0/a%2Flabel.npy").read_bytes()
    file = {"file": "a%2Flabel.npy", "bytes": 148, "crc32": zlib.crc32(content)}
    assert meta["arrays"]["a/label"] == {**file, "dtype": "<i4", "shape": [5]}


def test_what_cannot_be_read_is_named_and_not_the_cache(tmp_path: Path) -> None:
    gone = tmp_path / "gone.png"

    def chunks() -> Iterator[Batch]:
        yield {"image": IMAGE}
        gone.read_bytes()

    def whole() -> Rows:
        gone.read_bytes()
        raise AssertionError

    for build in (lambda: (5, chunks()), whole):
        with pytest.raises(
            UsageError, match=rf"^{gone} cannot be read: No such file or directory$"
        ):
            get(build)
