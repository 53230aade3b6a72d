"""Reads .npz files, with every checksum verified."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from dlcore.errors import UsageError

# What zipfile, zlib and NumPy's reader of headers raise for damaged archives.
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
    """Reads the arrays of a file that `np.savez` or `np.savez_compressed` wrote.

    No pickle is read, and the CRC-32 of every array is verified.

    Returns:
        {name: array}.

    Raises:
        UsageError: the file is missing, is not an .npz file, or is damaged; the message names the
            file and the array.
    """
    if not path.is_file():  # a folder, or a pipe, whose read could wait forever
        raise UsageError(
            f"{path} {'is not a file' if path.exists() else 'does not exist'}: name a .npz file"
            " with arrays"
        )
    name, arrays = "", {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                # The complete member: zipfile compares its checksum at the end, which np.load does
                # not always reach.
                content = archive.read(member)
                if len(content) != member.file_size:
                    raise ValueError(f"it has {len(content)} bytes, not {member.file_size}")
                arrays[name] = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except _DAMAGE as error:
        what = f"array {name!r}" if name else "its table of contents"
        raise UsageError(
            f"{path} is not a valid .npz file: {what} cannot be read"
            f" ({error or type(error).__name__}); write it again, or copy it again from its source"
        ) from error
    return arrays
