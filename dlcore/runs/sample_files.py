"""The samples folder of a run: files and an index of parts, replaced as a whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict, cast

from dlcore import files
from dlcore.files import Json
from dlcore.runs.sample_migration import from_version_1
from dlcore.samples import PartWriter, Sample
from dlcore.samples.parts import SUFFIXES, Part, file_names, problem

INDEX = "index.json"
VERSION = 2
LARGEST = 32 * 2**20  # bytes of a file that save() writes; browsers cannot open a page with more
_SUFFIXES = tuple(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
_SIGNATURES = {
    ".png": ("PNG", lambda content: content.startswith(b"\x89PNG\r\n\x1a\n")),
    ".gif": ("GIF", lambda content: content[:6] in (b"GIF87a", b"GIF89a")),
    ".wav": ("WAV file", lambda content: content[:4] == b"RIFF" and content[8:12] == b"WAVE"),
}


class Entry(TypedDict):
    """A sample in the index of the folder.

    Attributes:
        title: the heading.
        parts: what is shown, in order; files are named relative to the folder.
    """

    title: str
    parts: list[Part]


def save(folder: Path, samples: Sequence[Sample]) -> None:
    """Writes samples into a temporary folder, and moves it to `folder`.

    After an error the folder is unchanged.

    Args:
        folder: the samples folder, which is replaced.
        samples: in the order in which they are shown.

    Raises:
        ValueError: a sample cannot be shown.
        OSError: the folder cannot be written or renamed.
    """
    # Fixed names, so that the next process removes what a killed one has left.
    staging, backup = (folder.with_name(f".{folder.name}.{word}") for word in ("new", "old"))
    for leftover in (staging, backup):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        staging.mkdir(parents=True)
        index = [_write(staging, position, sample) for position, sample in enumerate(samples)]
        lines = ",\n".join(json.dumps(entry, allow_nan=False) for entry in index)
        content = f'{{"version": {VERSION}, "samples": [\n{lines}\n]}}\n'
        (staging / INDEX).write_text(content, encoding="utf-8")
        if folder.exists():
            folder.rename(backup)
        try:
            staging.rename(folder)
        except OSError:
            if backup.exists():
                backup.rename(folder)
            raise
    finally:
        for leftover in (staging, backup):
            shutil.rmtree(leftover, ignore_errors=True)


def _write(folder: Path, position: int, sample: Sample) -> Entry:
    """Writes one sample's files and returns its entry in the index."""
    title = getattr(sample, "title", None)
    if not isinstance(title, str) or not callable(getattr(sample, "parts", None)):
        hint = "it needs a `title` and a method `parts(files)`; see dlcore.samples"
        raise ValueError(f"sample {position} is a {type(sample).__name__}, not a sample: {hint}")
    parts = list(sample.parts(PartWriter(folder, position, title)))
    for part in parts:
        reason = problem(part)
        if reason:
            hint = "make parts by the methods of PartWriter"
            raise ValueError(f"sample {title!r} of type {type(sample).__name__}: {reason}; {hint}")
        for name in file_names(part):
            read(folder, name)
    return {"title": title, "parts": parts}


def load(folder: Path) -> list[Entry]:
    """Reads and validates the index of a samples folder.

    Returns:
        An entry for each sample; [] where there is no folder.

    Raises:
        ValueError: the index is missing, damaged or of a newer version, or names a file that
            `locate` rejects; the message names the file.
    """
    if not folder.is_dir():
        return []
    path = folder / INDEX
    try:
        index = json.loads(files.read(path))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON ({error})") from error
    samples = _samples(folder, index)
    for position, entry in enumerate(samples):
        if not isinstance(entry, dict) or not isinstance(entry.get("title"), str):
            raise ValueError(f"{path}: sample {position}: no title")
        parts = entry.get("parts")
        if not isinstance(parts, list):
            raise ValueError(f"{path}: sample {position}: no parts")
        for part in parts:
            reason = problem(part)
            if reason:
                raise ValueError(f"{path}: sample {position}: {reason}")
            for name in file_names(cast(Part, part)):
                locate(folder, name)
    return cast(list[Entry], samples)


def _samples(folder: Path, index: Json) -> list[Json]:
    """The entries of an index of any version, not yet validated."""
    path = folder / INDEX
    if isinstance(index, list):
        try:
            return from_version_1(index, lambda name: decode(read(folder, name)))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    version = index.get("version") if isinstance(index, dict) else None
    if type(version) is int and version > VERSION:
        hint = f"this dlcore reads up to {VERSION}; update dlcore"
        raise ValueError(f"{path}: format version {version}, and {hint}")
    samples = index.get("samples") if isinstance(index, dict) else None
    if version != VERSION or not isinstance(samples, list):
        raise ValueError(f"{path}: not a list of samples")
    return samples


def text_of(folder: Path, part: Part) -> str:
    """Returns the characters of a text part, from the index or from the file that it names.

    Args:
        folder: the samples folder.
        part: a valid text part of its index.

    Raises:
        ValueError: the part names a file that `read` rejects.
    """
    return part["text"] if "text" in part else decode(read(folder, part["file"]))


def decode(content: bytes) -> str:
    """Returns the characters of a text file; bytes that are not UTF-8 are replaced."""
    return content.decode("utf-8", errors="replace")


def texts(folder: Path) -> list[tuple[str, list[str]]]:
    """Returns the title of each sample of a folder, with the texts among its parts.

    Raises:
        ValueError: `load` rejects the index, or `read` a file that it names.
    """
    found = []
    for entry in load(folder):
        parts = [part for part in entry["parts"] if part["part"] == "text"]
        found.append((entry["title"], [text_of(folder, part) for part in parts]))
    return found


def locate(folder: Path, name: str) -> Path:
    """Returns the path of a file that an index names.

    Args:
        folder: the samples folder.
        name: the file's name in the index.

    Raises:
        ValueError: `name` is, after links are followed, no existing file inside the folder, or it
            has none of the suffixes in `SUFFIXES` (.png, .gif, .wav, .txt, .svg).
    """
    path = folder / name
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(f"{folder / INDEX}: {name!r} is no file name") from error
    if not inside or path.suffix not in _SUFFIXES or path.resolve().suffix != path.suffix:
        known = ", ".join(_SUFFIXES)
        raise ValueError(f"{folder / INDEX}: {name!r} is not inside the folder, or none of {known}")
    if not path.is_file():
        raise ValueError(f"{path}: missing")
    return path


def read(folder: Path, name: str) -> bytes:
    """Reads a file that an index names.

    Args:
        folder: the samples folder.
        name: the file's name in the index.

    Raises:
        ValueError: `locate` rejects the name; or the file cannot be read, is larger than `LARGEST`,
            or is a .png, .gif or .wav whose first bytes are not those of its format.
    """
    path = locate(folder, name)
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{path}: larger than {LARGEST >> 20} MiB")
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    kind, matches = _SIGNATURES.get(path.suffix, ("", bool))
    if kind and not matches(content):
        raise ValueError(f"{path}: not a {kind}")
    return content
