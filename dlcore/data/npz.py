"""Arrays in .npz files, read so that damage is an error with a message and never another number."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from dlcore.errors import UsageError

# Whatever a damaged archive makes zipfile, zlib and NumPy's reader of headers raise.
_DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    EOFError,
    RuntimeError,
    MemoryError,
    OverflowError,
    SyntaxError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file that `np.savez` or `np.savez_compressed` wrote, by name. No pickle is
    ever read.

    Every byte of every array is checked by the CRC-32 of the archive. UsageError, which names the
    file and the array: missing, no .npz file, or damaged.
    """
    if not path.is_file():  # a folder, or a pipe that nothing ever comes out of
        raise UsageError(
            f"{path} {'is no file' if path.exists() else 'does not exist'}: name a .npz file with"
            " arrays"
        )
    name, found = "", {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                # The whole member at once: zipfile compares its checksum at the end, which np.load
                # may stop short of.
                content = archive.read(member)
                if len(content) != member.file_size:
                    raise ValueError(f"it has {len(content)} bytes, not {member.file_size}")
                found[name] = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except _DAMAGE as error:
        what = f"array {name!r}" if name else "its table of contents"
        raise UsageError(
            f"{path} is no sound .npz file: {what} cannot be read"
            f" ({error or type(error).__name__}); write it again, or copy it again from where it"
            " came"
        ) from error
    return found
