"""The original files of a set: each with its public address, its name and its checksum."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from dlcore.errors import UsageError


class File(NamedTuple):
    """An original file. Without a `url` it cannot be downloaded and must be given with
    --manual-dir.
    """

    name: str
    sha256: str
    url: str = ""


Examples = Iterator[tuple[str, dict[str, object]]]
"""(key, {feature: value}) of each example."""


class DownloadManager(Protocol):
    """What the builders use of TFDS's download manager."""

    _manual_dir: str | os.PathLike[str] | None
    _dataset_name: str

    def download(self, url: str) -> str | os.PathLike[str]:
        """Downloads a file, and returns its path."""


def manual_folder(dl_manager: DownloadManager) -> Path:
    """Returns the folder of --manual-dir, which may be missing; "." where none was given."""
    # the public property of TFDS fails where the folder is missing
    return Path(dl_manager._manual_dir or "")


def fetch(dl_manager: DownloadManager, file: File) -> Path:
    """The file, from the manual folder where it lies there, else downloaded. UsageError: neither,
    or it is another file.
    """
    manual = manual_folder(dl_manager) / file.name
    if not manual.is_file():
        if not file.url:
            raise UsageError(
                f"{file.name} must be given: dlcore prepare {dl_manager._dataset_name} --manual-dir"
                " FOLDER_WITH_IT"
            )
        manual = Path(dl_manager.download(file.url))
    found = hashlib.sha256(manual.read_bytes()).hexdigest()
    if found != file.sha256:
        raise UsageError(
            f"{manual} is not the file that the set is made of: its sha256 is {found}, and not"
            f" {file.sha256}. Remove it, and fetch it again from "
            + (file.url or "where the set is published")
        )
    return manual


def same_contents(folder: Path, pattern: str, sha256: str, name: str) -> list[bytes]:
    """The contents of the files that a pattern names, in the order of their names.

    Args:
        folder: where they lie.
        pattern: such as "train/part_*.json.gz".
        sha256: of all the contents, one after the other.
        name: of the set.

    Raises:
        UsageError: there are none, or they are others.
    """
    files = sorted(folder.glob(pattern))
    if not files:
        raise UsageError(
            f"{pattern} must be given: dlcore prepare {name} --manual-dir FOLDER_WITH_THEM"
        )
    contents = [file.read_bytes() for file in files]
    found = hashlib.sha256(b"".join(contents)).hexdigest()
    if found != sha256:
        raise UsageError(
            f"the {len(files)} files {pattern} in {folder} are not those that the set is made of:"
            f" the sha256 of all of them in the order of their names is {found}, and not {sha256}"
        )
    return contents
