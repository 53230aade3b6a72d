"""Decoded data on disk: written once, opened as memory maps by every later run.

An entry is a folder with one .npy file per array, and meta.json with their names, sizes and
checksums. All checksums (CRC-32) are verified whenever an entry is opened, at 1 to 4 GB/s for files
in the page cache. A damaged entry is built again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import time
import urllib.parse
import uuid
import warnings
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NotRequired, TypedDict

import numpy as np

from dlcore.data.source import Arrays, Batch, Info, fingerprint
from dlcore.errors import UsageError

# The number of rows of every array, and the rows themselves in chunks of any size.
Rows = tuple[int, Iterable[Batch]]


class Described(TypedDict):
    """Describes one .npy file of an entry, in meta.json.

    Attributes:
        file: its name in the entry's folder.
        bytes: its size.
        crc32: its checksum; entries of older versions have none.
        dtype: of the array, as NumPy's string ("<f4").
        shape: of the array.
    """

    file: str
    bytes: int
    crc32: NotRequired[int]
    dtype: str
    shape: list[int]


class Meta(TypedDict):
    """Contents of meta.json, without its own checksum.

    Attributes:
        info: the fields of `Info`.
        arrays: {field: its file}.
        values: fields with another number of rows than `info.examples`, see `cached`.
    """

    info: dict[str, Any]
    arrays: dict[str, Described]
    values: NotRequired[list[str]]


_DAY = 24 * 3600.0
_BLOCK = 4 << 20  # bytes that a checksum reads at a time


def folder() -> Path:
    """Returns the cache folder: $DLCORE_CACHE, or $XDG_CACHE_HOME/dlcore, or ~/.cache/dlcore.

    The first one counts whose variable is set and not empty; the folder need not exist.
    """
    if chosen := os.environ.get("DLCORE_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "dlcore"


def cached(
    place: str,
    name: str,
    version: str,
    split: str,
    build: Callable[[], Rows],
    values: Collection[str] = (),
) -> Arrays:
    """Opens an entry of the cache, which is built first if it is missing or damaged.

    Warns of a damaged entry. An array of int64 is stored as int32 if all its values fit.

    Args:
        place: path of the entry in the cache folder; it must differ for different data, since an
            entry that exists is used whatever `build` would return.
        name, version, split: of the data, for `Arrays.info`; an entry with others is damaged.
        build: () -> number of rows, and chunks of rows {field: [rows, ...]}.
        values: fields with another number of rows: the values of features of varying length, of
            all examples one after the other (`dlcore.data.ragged`).

    Returns:
        Memory-mapped arrays; with `values`, `gather` must not be used.

    Raises:
        UsageError: an OSError of the cache, such as a full disk, or of `build` and its chunks, such
            as a file that cannot be read.
    """
    entry, info = folder() / place, Info(name, version, split, "", 0)
    with _explained(entry):
        found = _find(entry, info)
        return _build(entry, info, build, values) if found is None else found


def _find(entry: Path, info: Info) -> Arrays | None:
    """The arrays of an entry; None where it is missing, or damaged, of which a warning is given."""
    if not entry.exists():
        return None
    try:
        return _open(entry, info)
    except PermissionError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        warnings.warn(
            f"the cached data in {entry} are damaged ({error}): building them again", stacklevel=4
        )
        return None


def _open(entry: Path, expected_info: Info) -> Arrays:
    """The arrays of an entry, after all its checksums are verified.

    Raises ValueError, OSError, KeyError, TypeError or AttributeError where they do not match.
    """
    meta = json.loads((entry / "meta.json").read_text(encoding="utf-8"))
    checksum = meta.pop("crc32", None)  # an entry of an older version has none
    if checksum is not None and checksum != _meta_checksum(meta):
        raise ValueError("meta.json has another checksum than it was written with")
    info, contents = Info(**meta["info"]), {}
    if dataclasses.replace(info, fingerprint="", examples=0) != expected_info:
        raise ValueError(f"meta.json describes {info.name} {info.version}, split {info.split}")
    for key, expected in meta["arrays"].items():
        file = entry / expected["file"]
        if file.stat().st_size != expected["bytes"]:
            raise ValueError(
                f"{file.name} has {file.stat().st_size} bytes, not {expected['bytes']}"
            )
        if checksum is not None and _file_checksum(file) != expected["crc32"]:
            raise ValueError(f"{file.name} has another checksum than it was written with")
        contents[key] = np.load(file, mmap_mode="r")
    rows = {len(array) for key, array in contents.items() if key not in meta.get("values", ())}
    if rows != {info.examples}:
        raise ValueError(
            f"meta.json says {info.examples} examples, and the arrays have another number"
        )
    if checksum is None:
        _accept_older(entry, meta, contents)
    return Arrays(contents, info)


def _accept_older(entry: Path, meta: Meta, contents: Batch) -> None:
    """Verifies an entry without checksums by its fingerprint (slower), and adds checksums."""
    if fingerprint(contents) != meta["info"]["fingerprint"]:
        raise ValueError("its arrays have another fingerprint than they were written with")
    for described in meta["arrays"].values():
        described["crc32"] = _file_checksum(entry / described["file"])
    # where nothing can be written, the fingerprint is computed each time
    with contextlib.suppress(OSError):
        _write_meta(entry, meta)


def _write_meta(folder: Path, meta: Meta) -> None:
    """Writes meta.json with its own checksum, and replaces the old one in one step."""
    new = folder / f".{uuid.uuid4().hex}.json"
    new.write_text(
        json.dumps({**meta, "crc32": _meta_checksum(meta)}, indent=1) + "\n", encoding="utf-8"
    )
    new.replace(folder / "meta.json")


def _meta_checksum(meta: Meta) -> int:
    return zlib.crc32(json.dumps(meta, sort_keys=True).encode())


def _file_checksum(path: Path) -> int:
    """CRC-32 of a file."""
    checksum, block = 0, memoryview(bytearray(_BLOCK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(block):
            checksum = zlib.crc32(block[:count], checksum)
    return checksum


def _build(entry: Path, info: Info, build: Callable[[], Rows], values: Collection[str]) -> Arrays:
    """Writes a temporary folder and renames it: other processes see a complete entry or none."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    _sweep(entry.parent)
    building = entry.parent / f".{uuid.uuid4().hex}.building"
    building.mkdir()
    try:
        _fill(building, info, build, values)
        return _publish(building, entry, info)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _fill(building: Path, info: Info, build: Callable[[], Rows], values: Collection[str]) -> None:
    files = _write(building, *_read(build), values)
    contents = {key: np.load(file, mmap_mode="r") for key, file in files.items()}
    examples = len(next(array for key, array in contents.items() if key not in values))
    info = dataclasses.replace(info, fingerprint=fingerprint(contents), examples=examples)
    described: dict[str, Described] = {
        key: {
            "file": file.name,
            "bytes": file.stat().st_size,
            "crc32": _file_checksum(file),
            "dtype": contents[key].dtype.str,
            "shape": list(contents[key].shape),
        }
        for key, file in files.items()
    }
    meta: Meta = {"info": dataclasses.asdict(info), "arrays": described}
    if values:
        meta["values"] = sorted(values)
    _write_meta(building, meta)


def _read(build: Callable[[], Rows]) -> Rows:
    """The rows of `build`, whose own OSErrors are no faults of the cache."""

    def each(chunks: Iterable[Batch]) -> Iterator[Batch]:
        with _read_errors():
            yield from chunks

    with _read_errors():
        rows, chunks = build()
    return rows, each(chunks)


@contextlib.contextmanager
def _read_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = error.filename or "the data"
        raise UsageError(f"{what} cannot be read: {error.strerror or error}") from error


def _write(
    building: Path, rows: int, chunks: Iterable[Batch], values: Collection[str]
) -> dict[str, Path]:
    """Writes one .npy file per array, sequentially.

    On a full disk this is an error here, where a memory map would crash the process.
    """
    files: dict[str, Path] = {}
    shapes: dict[str, tuple[np.dtype, tuple[int, ...]]] = {}
    with contextlib.ExitStack() as stack:
        opened: dict[str, BinaryIO] = {}
        for chunk in chunks:
            for key, part in chunk.items():
                if key not in opened:
                    files[key] = building / (urllib.parse.quote(key, safe="") + ".npy")
                    opened[key] = stack.enter_context(files[key].open("wb"))
                    shapes[key] = (
                        part.dtype,
                        (0 if key in values else rows, *part.shape[1:]),
                    )
                    _write_header(opened[key], *shapes[key])
                if key in values:
                    dtype, (count, *rest) = shapes[key]
                    shapes[key] = (dtype, (count + len(part), *rest))
                opened[key].write(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
        for key in opened.keys() & set(values):  # the number of their rows is known now
            opened[key].seek(0)
            _write_header(opened[key], *shapes[key])
    for file in files.values():
        _narrow(file)
    return files


def _write_header(file: BinaryIO, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    """Writes the header of an .npy file; its size does not depend on the number of rows."""
    np.lib.format.write_array_header_1_0(
        file,
        {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": shape,
        },
    )


def _narrow(file: Path) -> None:
    """Converts a file from int64 to int32 where all values fit: JAX computes in 32 bits."""
    array, limits = np.load(file, mmap_mode="r"), np.iinfo(np.int32)
    if (
        array.dtype == np.int64
        and array.size
        and limits.min <= array.min()
        and array.max() <= limits.max
    ):
        narrow = file.with_suffix(".narrow")
        with narrow.open("wb") as out:
            np.save(out, array.astype(np.int32))
        narrow.replace(file)


def _publish(building: Path, entry: Path, info: Info) -> Arrays:
    """Renames a built folder to its entry, or uses the entry of a process that was first."""
    for _ in range(8):
        with contextlib.suppress(OSError):
            building.rename(entry)
        try:
            return _open(entry, info)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # A damaged entry has this name. Renaming it is atomic too: where another process was
            # first, nothing is lost.
            aside = entry.parent / f".{uuid.uuid4().hex}.building"
            with contextlib.suppress(FileNotFoundError):
                entry.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
    raise OSError(f"cannot rename a new folder to {entry.name}")


def _sweep(parent: Path) -> None:
    """Removes unfinished folders of killed processes, which are older than a day."""
    for unfinished in parent.glob(".*.building"):
        with contextlib.suppress(OSError):
            if time.time() - unfinished.stat().st_mtime > _DAY:
                shutil.rmtree(unfinished, ignore_errors=True)


@contextlib.contextmanager
def _explained(entry: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"cannot write decoded data to {entry.parent}: {error.strerror or error}. "
            "Free disk space or give access there, or set DLCORE_CACHE to another folder"
        ) from error
