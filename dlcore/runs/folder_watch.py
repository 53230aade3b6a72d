"""Notices that the folder of a run is removed or renamed while the run trains."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import IO

from dlcore import files
from dlcore.runs.ending import FolderGone


class FolderWatch:
    """Detects that a folder was removed or renamed, by its device and inode.

    Args:
        folder: an existing folder.
    """

    def __init__(self, folder: Path) -> None:
        self._identity = files.identity(folder)

    def is_same(self, folder: Path) -> bool:
        """Returns whether a path is the watched folder."""
        return files.identity(folder) == self._identity

    def error(self, folder: Path, inside: IO[str] | None) -> FolderGone | None:
        """Returns the error to raise where the folder was removed or renamed; None where not.

        Args:
            folder: the path that the folder had.
            inside: a file in the folder, by which its new path is found if it is open; only Linux
                knows the path of an open file.
        """
        if self._identity is None or self.is_same(folder):
            return None
        now = None
        if inside is not None:
            with contextlib.suppress(OSError, ValueError):  # ValueError: the file is closed
                now = Path(os.readlink(f"/proc/self/fd/{inside.fileno()}")).parent
        return FolderGone(folder, now if now and self.is_same(now) else None)
