"""Arrays in .npz files: whole, or a message. The files are compressed ones and plain ones."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcore.data import npz
from dlcore.errors import UsageError
from dlcore.train import weights as export

ARRAYS = {
    "params/net/kernel": np.random.RandomState(0).standard_normal((40, 30)).astype(np.float32),
    "params/net/bias": np.arange(30, dtype=np.float32),
    "extra/net/count": np.array(7, np.int64),
}


def saved(save: Callable[..., None]) -> bytes:
    out = io.BytesIO()
    save(out, **ARRAYS)
    return out.getvalue()


CONTENTS = {"plain": saved(np.savez), "compressed": saved(np.savez_compressed)}


def same(found: dict[str, np.ndarray]) -> bool:
    return found.keys() == ARRAYS.keys() and all(
        (found[key].dtype, found[key].shape, found[key].tobytes())
        == (array.dtype, array.shape, array.tobytes())
        for key, array in ARRAYS.items()
    )


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_sound_files_are_read_whole(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    assert same(npz.read(tmp_path / "a.npz"))
    tree = export.load(tmp_path / "a.npz")
    np.testing.assert_array_equal(tree["params"]["net"]["kernel"], ARRAYS["params/net/kernel"])
    assert tree["extra"]["net"]["count"] == 7


def changed(place: float, mask: int = 0xFF, count: int = 1) -> Callable[[Path], None]:
    """Damage to `count` bytes from a place on that is given as a part of the file, or counted from
    its end if negative.
    """

    def damage(file: Path) -> None:
        content = bytearray(file.read_bytes())
        start = len(content) + int(place) if place < 0 else round(place * (len(content) - 1))
        for at in range(start, start + count):
            content[at] ^= mask
        file.write_bytes(content)

    return damage


def cut(place: float) -> Callable[[Path], None]:
    return lambda file: os.truncate(file, round(place * file.stat().st_size))


def replaced(content: bytes) -> Callable[[Path], object]:
    return lambda file: file.write_bytes(content)


def folder_instead(file: Path) -> None:
    file.unlink()
    file.mkdir()


def first_header(offset: int) -> Callable[[Path], object]:
    """Damage to one byte of the first array's header in the archive."""
    return lambda file: file.write_bytes(
        bytes(b ^ 0x3F if i == offset else b for i, b in enumerate(file.read_bytes()))
    )


def directory(offset: int) -> Callable[[Path], object]:
    """Damage to one byte of the archive's table of contents."""

    def damage(file: Path) -> None:
        content = bytearray(file.read_bytes())
        content[content.index(b"PK\x01\x02") + offset] ^= 0x3F
        file.write_bytes(content)

    return damage


BARE = io.BytesIO()
np.save(BARE, np.arange(5))
DAMAGE: dict[str, Callable[[Path], object]] = {
    "signature": first_header(0),
    "name": first_header(33),
    "length of the name": first_header(26),
    "a byte at a tenth": changed(0.1),
    "a byte at three tenths": changed(0.3),
    "one bit in the middle": changed(0.5, mask=1),
    "a byte at two thirds": changed(0.67),
    "64 bytes in the middle": changed(0.5, count=64),
    "signature of the table": directory(0),
    "flags in the table": directory(8),
    "method in the table": directory(10),
    "checksum in the table": directory(16),
    "place in the table": directory(42),
    "size in the table": directory(25),
    "name in the table": directory(50),
    "end of the table": changed(-22),
    "place of the table": changed(-6),
    "cut at a tenth": cut(0.1),
    "cut in half": cut(0.5),
    "cut near the end": cut(0.99),
    "empty": cut(0),
    "zeros": lambda file: file.write_bytes(bytes(file.stat().st_size)),
    "text": replaced(b"Not Found\n" * 50),
    "one bare array": replaced(BARE.getvalue()),
    "a pickle": replaced(pickle.dumps([1, 2, 3])),
    "a folder": folder_instead,
    "missing": Path.unlink,
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_named(
    damage: Callable[[Path], object], content: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "weights.npz"
    file.write_bytes(content)
    damage(file)
    with pytest.raises(UsageError, match=r"weights\.npz (is no|does not exist)"):
        npz.read(file)
    with pytest.raises(UsageError, match="does not hold exported parameters"):
        export.load(file)


@pytest.mark.slow
@settings(max_examples=200)
@given(st.sampled_from(list(CONTENTS.values())), st.floats(0, 1), st.integers(1, 255))
def test_no_byte_can_change_a_number_unnoticed(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, at: float, mask: int
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.npz"
    file.write_bytes(content)
    changed(at, mask)(file)
    with contextlib.suppress(UsageError):
        assert same(npz.read(file))  # a date in the archive, which says nothing of the arrays


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(tmp_path / "pipe.npz")
    # so that opening it would not wait either
    both_ends = os.open(tmp_path / "pipe.npz", os.O_RDWR)
    try:
        with pytest.raises(UsageError, match="is not a file"):
            npz.read(tmp_path / "pipe.npz")
    finally:
        os.close(both_ends)


def test_it_is_said_what_is_damaged(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    for damage, message in (
        (changed(0.3), r"array 'params/net/kernel' cannot be read \(Bad CRC-32"),
        (cut(0.5), r"its table of contents cannot be read \(File is not a zip file"),
    ):
        file.write_bytes(CONTENTS["plain"])
        damage(file)
        with pytest.raises(UsageError, match=message):
            npz.read(file)


def test_no_pickle_is_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "sprung",)

    np.savez(tmp_path / "trap.npz", sound=np.zeros(3), x=np.array([Trap()], object))
    with pytest.raises(
        UsageError, match=r"array 'x' cannot be read .*Object arrays cannot be loaded"
    ):
        npz.read(tmp_path / "trap.npz")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "names",
    [
        ["weights"],
        ["params/net", "params/net/kernel"],
        ["params/net/kernel", "params/net"],
        ["opt/x"],
    ],
)
def test_arrays_that_are_no_parameters(names: list[str], tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **{name: np.zeros(2) for name in names})
    with pytest.raises(UsageError, match=r"does not hold exported parameters \(it has an array '"):
        export.load(tmp_path / "a.npz")
