"""Original files of data sets, verified by their checksums."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from dlcore.errors import UsageError


class File(NamedTuple):
    """An original file of a data set.

    Attributes:
        name: its name in the folder of --manual-dir.
        sha256: SHA-256 of its contents.
        url: from which it is downloaded; "": it must be given with --manual-dir.
    """

    name: str
    sha256: str
    url: str = ""


Examples = Iterator[tuple[str, dict[str, object]]]
"""(key, {feature: value}) of each example."""


class DownloadManager(Protocol):
    """The part of TFDS's download manager that the builders use.

    Attributes:
        _manual_dir: the folder of --manual-dir, None without one; it need not exist.
        _dataset_name: name of the set, for messages.
    """

    _manual_dir: str | os.PathLike[str] | None
    _dataset_name: str

    def download(self, url: str) -> str | os.PathLike[str]:
        """Downloads a file, and returns its path."""


def manual_folder(dl_manager: DownloadManager) -> Path:
    """Returns the folder of --manual-dir, which need not exist; "." if TFDS has none."""
    # the public property of TFDS fails where the folder is missing
    return Path(dl_manager._manual_dir or "")


def fetch(dl_manager: DownloadManager, file: File) -> Path:
    """Returns the path of an original file, which is downloaded if it is not in the manual folder.

    Args:
        dl_manager: of the builder.
        file: its name, checksum and address.

    Raises:
        UsageError: it is not in the manual folder and has no address, or its SHA-256 differs.
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
    """Reads the files that match a pattern, in the order of their names, and verifies them.

    Args:
        folder: what the pattern is relative to.
        pattern: a glob pattern such as "train/part_*.json.gz".
        sha256: SHA-256 of all the contents, concatenated.
        name: of the data set, for messages.

    Returns:
        The contents of each file, not decompressed.

    Raises:
        UsageError: no file matches, or the SHA-256 differs.
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
