"""Standard output and standard error that are closed, full, gone with their terminal, or of an
encoding without our letters.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

# the exit code of what the shell sees ended by SIGPIPE, as `cat` in `cat FILE | head -1`
BROKEN_PIPE = 141


class Stream:
    """A text stream that drops what cannot be written, from the first failed write on, and keeps
    that failure in `error`.

    A run does not end because nobody reads what it says: its metrics are in its folder.
    """

    def __init__(self, stream: TextIO | None) -> None:
        """`stream`: None where Python found the descriptor closed."""
        self.stream = stream or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  as long as the process lives
        self.error: OSError | ValueError | None = None
        # ASCII has no "\xb1", UTF-8 no half of a surrogate pair
        with contextlib.suppress(AttributeError, ValueError):
            self.stream.reconfigure(errors="backslashreplace")  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> Any:
        if name == "stream":  # of a copy that is being made
            raise AttributeError(name)
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """All of `text`, or nothing where a write has failed; its length in both cases."""
        self._try(lambda: self.stream.write(text))
        return len(text)

    def flush(self) -> None:
        """What is buffered."""
        self._try(self.stream.flush)

    def _try(self, act: Any) -> None:
        if self.error:
            return
        try:
            act()
        except (OSError, ValueError) as error:  # ValueError: the stream was closed
            self.error = error
            # the interpreter flushes once more when it exits
            with contextlib.suppress(OSError, ValueError):
                _to_nowhere(self.stream.fileno())


@contextlib.contextmanager
def guarded() -> Iterator[Stream]:
    """Put `Stream`s in the place of sys.stdout and sys.stderr for the block; gives the one for
    standard output.
    """
    _open_descriptors()
    before = sys.stdout, sys.stderr
    streams = Stream(sys.stdout), Stream(sys.stderr)
    sys.stdout, sys.stderr = streams  # type: ignore[assignment]
    try:
        yield streams[0]
    finally:
        for stream in streams:
            stream.flush()
        sys.stdout, sys.stderr = before


def exit_code(code: int, stdout: Stream, result: bool) -> int:
    """The exit code of a command whose `result` was to be read from standard output; others end as
    they ended, with a warning.
    """
    if not stdout.error or (isinstance(stdout.error, BrokenPipeError) and not result):
        return code
    # as with `| head -1`: whoever read has what was wanted
    if isinstance(stdout.error, BrokenPipeError):
        return code or BROKEN_PIPE
    reason = (
        os.strerror(stdout.error.errno or errno.EIO)
        if isinstance(stdout.error, OSError)
        else str(stdout.error)
    )
    said = f"standard output cannot be written ({reason})"
    print(
        f"dlcore: {f'{said}: make room, or send it elsewhere' if result else f'warning: {said}'}",
        file=sys.stderr,
        flush=True,
    )
    return code or (2 if result else 0)


def _open_descriptors() -> None:
    """Open the descriptors 0, 1 and 2 where they are closed: the next file opened would be one of
    them, and be written into.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                _to_nowhere(number)


def _to_nowhere(number: int) -> None:
    opened = os.open(os.devnull, os.O_RDWR)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
