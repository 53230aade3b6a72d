"""Standard output and error that are closed, on a full disk, or of a limited encoding."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO

# the shell's exit code of a program that SIGPIPE has ended, as `cat` in `cat FILE | head -1`
BROKEN_PIPE = 141


class Stream:
    """A text stream that ignores writes after the first failed one.

    A run continues when its output cannot be written: its metrics are in its folder. Characters
    that the encoding lacks are written as escapes. All other attributes and methods are those of
    the wrapped stream.

    Attributes:
        stream: the wrapped stream.
        error: the error of the first failed write or flush; None before.
    """

    def __init__(self, stream: TextIO | None) -> None:
        """Wraps `stream`; None where Python found the descriptor closed."""
        self.stream = stream or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  open until the process ends
        self.error: OSError | ValueError | None = None
        # some characters cannot be encoded: "\xb1" in ASCII, lone surrogates in UTF-8
        with contextlib.suppress(AttributeError, ValueError):
            self.stream.reconfigure(errors="backslashreplace")  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> Any:
        if name == "stream":  # while a copy is being made
            raise AttributeError(name)
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Writes `text`, or nothing after a failed write; returns its length in both cases."""
        self._try(lambda: self.stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Writes what is buffered, or nothing after a failed write; `error` keeps a failure."""
        self._try(self.stream.flush)

    def _try(self, act: Callable[[], object]) -> None:
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
    """Replaces sys.stdout and sys.stderr by `Stream`s in the block; yields that of sys.stdout."""
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
    """Returns the exit code of a command, and reports a failed write to standard output.

    Args:
        code: the exit code of the command itself.
        stdout: standard output.
        result: the command's result is its output; otherwise a failed write only causes a warning.

    Returns:
        `code` where it is not 0, no write has failed, or `result` is False; else 141 where the
        reader has closed the pipe, and 2 for other failed writes.
    """
    if not stdout.error or (isinstance(stdout.error, BrokenPipeError) and not result):
        return code
    # as with `| head -1`: the reader has closed the pipe
    if isinstance(stdout.error, BrokenPipeError):
        return code or BROKEN_PIPE
    reason = (
        os.strerror(stdout.error.errno or errno.EIO)
        if isinstance(stdout.error, OSError)
        else str(stdout.error)
    )
    said = f"standard output cannot be written ({reason})"
    remedy = "free disk space, or redirect it elsewhere"
    print(
        f"dlcore: {f'{said}: {remedy}' if result else f'warning: {said}'}",
        file=sys.stderr,
        flush=True,
    )
    return code or (2 if result else 0)


def _open_descriptors() -> None:
    """Opens closed descriptors 0, 1 and 2, so that no other file gets their numbers."""
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
