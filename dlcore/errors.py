"""Exceptions that end a command with a message, and messages for errors of the operating system."""

import errno
import os
import re

_FULL = "free disk space (ulimit -f limits the size of files as well)"
_CLOSED = "grant permission, or name another place"
_WAYS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _FULL),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), _CLOSED),
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOENT: "name one that exists",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
}
LONGEST = 300  # characters from which a word is abbreviated


class UsageError(Exception):
    """Bad input; the message names the cause and a remedy, and commands exit with code 2."""


class Disrupted(Exception):
    """An outside cause stopped the run, which can be resumed; commands exit with code 75."""


def operating_system(error: OSError) -> str:
    """Formats an OSError as a message: what cannot be used, why, and a remedy if one is known."""
    what = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else "the disk"
    way = _WAYS.get(error.errno or 0, "")
    return f"cannot use {what}: {error.strerror}{way and f'; {way}'}"


def shortened(message: str) -> str:
    """Shortens each word of 300 or more characters, such as a path, to its first 80 and its length.

    Words end at white space and at ":", ";" and ",".
    """
    return re.sub(
        rf"[^\s:;,]{{{LONGEST},}}",
        lambda word: f"{word[0][:80]}... ({len(word[0])} characters)",
        message,
    )


def reason(error: BaseException, most: int = 200) -> str:
    """Returns the first line of an error's message, at most `most` characters, or else its type."""
    lines = str(error).strip().splitlines()
    return lines[0][:most] if lines else type(error).__name__
