"""Damage in the cache of decoded data: always noticed, named and mended, whichever byte it is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dlcore.data import cache
from dlcore.data.cache import Rows
from tests.data.test_cache import IMAGE, LABEL, build, get, never
from tests.data.test_cache import root as root


def truncate(entry: Path) -> None:
    with (entry / "image.npy").open("rb+") as file:
        file.truncate(130)


def break_json(entry: Path) -> None:
    (entry / "meta.json").write_text('{"info": ')


def other_json(entry: Path) -> None:
    (entry / "meta.json").write_text("[]")


def other_shape(entry: Path) -> None:
    np.save(entry / "image.npy", IMAGE.reshape(5, 2, 3))


def lose_meta(entry: Path) -> None:
    (entry / "meta.json").unlink()


def lose_array(entry: Path) -> None:
    (entry / "image.npy").unlink()


@pytest.mark.parametrize(
    "damage", [truncate, break_json, other_json, other_shape, lose_meta, lose_array]
)
def test_damage_is_named_and_mended(damage: Callable[[Path], None], root: Path) -> None:
    get()
    entry = root / "kind/set/1.0.0/train-0"
    damage(entry)
    with pytest.warns(UserWarning, match=f"cached data in {entry} are damaged"):
        np.testing.assert_array_equal(get().arrays["image"], IMAGE)
    np.testing.assert_array_equal(get(never).arrays["image"], IMAGE)
    assert [path.name for path in entry.parent.iterdir()] == ["train-0"]


def flipped(place: float) -> Callable[[Path], None]:
    def damage(file: Path) -> None:
        content = bytearray(file.read_bytes())
        content[round(place * (len(content) - 1))] ^= 1
        file.write_bytes(content)

    return damage


def folder_instead(file: Path) -> None:
    file.unlink()
    file.mkdir()


FILE_DAMAGE: dict[str, Callable[[Path], object]] = {
    "first byte": flipped(0),
    "byte at a third": flipped(0.33),
    "byte at two thirds": flipped(0.67),
    "last byte": flipped(1),
    "cut in half": lambda file: os.truncate(file, file.stat().st_size // 2),
    "empty": lambda file: os.truncate(file, 0),
    "longer": lambda file: file.write_bytes(file.read_bytes() + b"x"),
    "zeros": lambda file: file.write_bytes(bytes(file.stat().st_size)),
    "a folder": folder_instead,
}


@pytest.mark.parametrize("name", ["image.npy", "a%2Flabel.npy", "meta.json"])
@pytest.mark.parametrize("damage", FILE_DAMAGE.values(), ids=FILE_DAMAGE)
def test_a_damaged_file_is_never_used(
    damage: Callable[[Path], object], name: str, root: Path
) -> None:
    info = get().info
    damage(root / "kind/set/1.0.0/train-0" / name)
    with pytest.warns(UserWarning, match="are damaged"):
        found = get()
    assert found.info == info
    for key, array in {"image": IMAGE, "a/label": LABEL}.items():
        np.testing.assert_array_equal(found.arrays[key], array)
        np.testing.assert_array_equal(get(never).arrays[key], array)


def other_version(file: Path) -> None:
    file.write_text(file.read_text().replace("1.0.0", "1.0.1"))


CHANGED = "has another checksum than it was written with"


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("a%2Flabel.npy", flipped(1), CHANGED),
        ("meta.json", other_version, CHANGED),
        ("image.npy", FILE_DAMAGE["cut in half"], "has 79 bytes, not 158"),
        ("image.npy", FILE_DAMAGE["longer"], "has 159 bytes, not 158"),
    ],
)
def test_what_is_damaged_is_named(
    name: str, damage: Callable[[Path], object], message: str, root: Path
) -> None:
    get()
    damage(root / "kind/set/1.0.0/train-0" / name)
    with pytest.warns(UserWarning, match=f"damaged \\({name} {message}\\)"):
        get()


def without_checksums(entry: Path, **info: object) -> str:
    """Make an entry as version 0.1 wrote it, with no checksums."""
    meta = json.loads((entry / "meta.json").read_text())
    for described in (meta, *meta["arrays"].values()):
        del described["crc32"]
    meta["info"] |= info
    (entry / "meta.json").write_text(json.dumps(meta))
    return (entry / "meta.json").read_text()


def test_an_entry_without_checksums_is_checked_by_its_fingerprint_and_given_some(
    root: Path,
) -> None:
    entry, sound = root / "kind/set/1.0.0/train-0", get()
    complete = json.loads((entry / "meta.json").read_text())
    without_checksums(entry)
    assert get(never).info == sound.info
    assert json.loads((entry / "meta.json").read_text()) == complete
    without_checksums(entry)
    flipped(1)(entry / "image.npy")
    with pytest.warns(UserWarning, match="another fingerprint"):
        np.testing.assert_array_equal(get().arrays["image"], IMAGE)
    for info in ({"name": "sat"}, {"version": "1.0.1"}, {"split": "test"}, {"examples": 4}):
        without_checksums(entry, **info)
        with pytest.warns(UserWarning, match=r"meta.json (describes|says)"):
            assert get().info == sound.info


def test_an_entry_without_checksums_in_a_place_that_is_read_only(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, sound = root / "kind/set/1.0.0/train-0", get()
    before = without_checksums(entry)

    def refuse(folder: Path, meta: object) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(cache, "_write_meta", refuse)
    assert get(never).info == sound.info
    assert (entry / "meta.json").read_text() == before


def test_two_processes_mend_the_same_damage(root: Path) -> None:
    get()
    truncate(root / "kind/set/1.0.0/train-0")

    def slow() -> Rows:
        with pytest.warns(UserWarning, match="damaged"):
            get(build)
        return build()

    with pytest.warns(UserWarning, match="damaged"):
        np.testing.assert_array_equal(get(slow).arrays["image"], IMAGE)
