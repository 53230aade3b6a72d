"""The exceptions that end a command with a message instead of a traceback, and the messages of the
operating system's own.
"""

import errno
import os
import re

_FULL = "make room (ulimit -f limits the size of files as well)"
_CLOSED = "grant permission, or name another place"
_WAYS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _FULL),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), _CLOSED),
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOENT: "name one that is there",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
}
LONGEST = 300  # characters of a word that a message repeats


class UsageError(Exception):
    """Bad input, found before any work is lost. The message names the cause and the way out;
    commands exit with code 2.
    """


class Disrupted(Exception):
    """Something outside stopped the run: another process is gone, a save took too long. Commands
    exit with code 75, to be resumed.
    """


def operating_system(error: OSError) -> str:
    """What cannot be used, why, and the way out, of an error that has a number."""
    what = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else "the disk"
    way = _WAYS.get(error.errno or 0, "")
    return f"cannot use {what}: {error.strerror}{way and f'; {way}'}"


def shortened(message: str) -> str:
    """A message with its overlong words cut: a path of thousands of letters would hide what is said
    of it.
    """
    return re.sub(
        rf"[^\s:;,]{{{LONGEST},}}",
        lambda word: f"{word[0][:80]}... ({len(word[0])} characters)",
        message,
    )
