"""Atomic writes that follow no links, reads that do not block on pipes, and file locks."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TypeAlias

from dlcore.errors import UsageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# what `json.loads` returns
Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

LARGEST = 64 * 2**20  # bytes of a file that is read at once; a card has some kilobytes
_CREATE = (
    os.O_RDWR
    | os.O_CREAT
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
# seconds after which the writer of an empty temporary file counts as dead
_EMPTY_SECONDS = 60.0


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Opens a temporary file, which replaces `path` atomically if the block ends without an error.

    A link at `path` is replaced and not followed; an existing file's permissions are kept.
    Temporary files of killed writers of `path` are removed first.

    Args:
        path: the file to write; its folder exists.

    Yields:
        The temporary file, in the same folder, opened for writing bytes.

    Raises:
        OSError: the file cannot be created, written or moved to `path`.
    """
    stem = f".{path.name[:50]}."
    _sweep(path.parent, stem)
    fresh = path.with_name(f"{stem}{os.getpid()}.{secrets.token_hex(4)}")
    number = os.open(fresh, _CREATE | os.O_EXCL, 0o666)
    try:
        with os.fdopen(number, "wb") as file:
            # The lock tells `_sweep` that this process lives; some file systems have no locks.
            if fcntl:
                with contextlib.suppress(OSError):
                    fcntl.flock(file, fcntl.LOCK_EX)
            yield file
            file.flush()
            os.fsync(number)
            with contextlib.suppress(OSError):
                if stat.S_ISREG(path.lstat().st_mode):
                    shutil.copymode(path, fresh)
            if fcntl:
                fresh.replace(path)
        if not fcntl:  # Windows does not rename a file that is open
            fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def write(path: Path, content: str) -> None:
    """Writes a text file by `replacing`, in UTF-8 and with unchanged line ends.

    Args:
        path: the file.
        content: the text; lone surrogates are written as "?".

    Raises:
        OSError: as `replacing`.
    """
    with replacing(path) as file:
        file.write(content.encode("utf-8", errors="replace"))


def write_to(path: Path, content: str) -> None:
    """Writes a text file that the user has named, and creates its folder where there is none.

    A link is followed, and a device or a pipe is written to. A file is replaced as by `write`.

    Args:
        path: the file.
        content: the text.

    Raises:
        OSError: the file cannot be written.
    """
    path = path.resolve()
    if os.path.exists(path) and not path.is_file() and not path.is_dir():
        with path.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
            file.write(content)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, content)


def read(path: Path, largest: int = LARGEST) -> bytes:
    """Reads a regular file of limited size; it does not block on pipes and devices.

    Args:
        path: the file; links are followed.
        largest: number of bytes that the file may have.

    Returns:
        Its bytes.

    Raises:
        OSError: it cannot be read, is not a regular file, or is larger.
    """
    with os.fdopen(
        os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb"
    ) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        if found.st_size > largest:
            raise OSError(
                errno.EFBIG,
                f"it has {found.st_size:,} bytes, and at most {largest:,} are read",
                str(path),
            )
        return file.read(largest)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on the file `path` for the block, and creates the file if missing.

    It does not wait for a lock that another process holds. On Windows nothing is locked.

    Args:
        path: the lock file, which is not removed afterwards.

    Raises:
        BlockingIOError: another process holds the lock.
        UsageError: `path` is a link or no regular file.
        OSError: the file cannot be created.
    """
    while True:
        try:
            number = os.open(path, _CREATE | getattr(os, "O_NONBLOCK", 0), 0o666)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EMLINK) or path.is_symlink():
                raise UsageError(f"{path} is a link, which is not followed: remove it") from error
            raise
        with os.fdopen(number, "rb") as file:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise UsageError(f"{path} is no regular file: remove it")
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is(path, number):
                yield
                return
            # The previous holder has removed the file, and this lock protects nothing: try again.


def identity(folder: Path) -> tuple[int, int] | None:
    """Returns device and inode of a folder, unique while it is `held`; None if there is none."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keeps a folder open in the block, so that no folder created in it gets the same `identity`.

    Where a folder cannot be opened, as on Windows or if there is none, nothing is held.
    """
    number = None
    # Windows opens no folders, and removes or renames none in which a file is open
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
    try:
        yield
    finally:
        if number is not None:
            os.close(number)


def _is(path: Path, number: int) -> bool:
    try:
        return os.path.samestat(os.fstat(number), path.lstat())
    except OSError:
        return False


def _sweep(folder: Path, stem: str) -> None:
    """Removes temporary files that no process holds; an empty one may not be locked yet."""
    own = re.compile(re.escape(stem) + r"[0-9]+(\.[0-9a-f]{8})?")
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            if own.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    _sweep_one(entry)


def _sweep_one(entry: os.DirEntry[str]) -> None:
    found = entry.stat(follow_symlinks=False)
    age = time.time() - found.st_mtime
    if age < (3600 if fcntl is None else _EMPTY_SECONDS if found.st_size == 0 else -math.inf):
        return
    with os.fdopen(os.open(entry.path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)), "rb") as file:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(entry.path)
    if not fcntl:
        os.unlink(entry.path)
