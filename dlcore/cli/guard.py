"""Runs a command with guarded output streams, and turns errors into a message and an exit code."""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Sequence
from types import TracebackType

from dlcore.errors import Disrupted, UsageError, operating_system, shortened
from dlcore.runtime import output, quiet, tracebacks

TRAINING = ("train", "resume", "sweep")  # they continue when their output cannot be written
SAVING = ("asyncio", "orbax", "tensorstore")


def guarded(words: Sequence[str], command: Callable[[], int]) -> int:
    """Runs a command with guarded output streams; its errors become a message and an exit code.

    UsageError, an OSError with `errno`, and what `tracebacks.explain` explains give 2, `Disrupted`
    75, and KeyboardInterrupt 130; with several processes the last two end this process at once.
    Python's warnings become one line each on standard error. Without an accelerator JAX is kept to
    the CPU, unless JAX_PLATFORMS is set.

    Args:
        words: the command line after `dlcore`. It is only used to tell whether the command's result
            is what it prints; if so, an output closed early changes the exit code 0 to 141.
        command: () -> the exit code.

    Returns:
        The exit code, of the command or of its error.

    Raises:
        SystemExit, Exception: all other errors of the command, unchanged.
    """
    quiet.loader()
    if not quiet.accelerated() and any(
        map(importlib.util.find_spec, ("libtpu", "jax_cuda12_plugin", "jax_cuda13_plugin"))
    ):
        # these plugins are installed for `plan`, and would search for their hardware
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
    warnings.showwarning = lambda message, *_, **__: print(
        f"dlcore: warning: {message}", file=sys.stderr, flush=True
    )
    _quiet_background()
    with output.guarded() as stdout:
        code = _ended(command)
        sys.stdout.flush()
        return output.exit_code(code, stdout, result=not words or words[0] not in TRAINING)


def _ended(command: Callable[[], int]) -> int:
    try:
        return tracebacks.explained(command)
    except UsageError as error:
        return refuse(str(error))
    except Disrupted as error:
        refuse(str(error))
        return _leave(75)
    except OSError as error:
        if error.errno is None:
            raise
        return refuse(operating_system(error))
    except KeyboardInterrupt as error:
        refuse(f"interrupted{f': {error}' if str(error) else ''}")
        return _leave(130)


@functools.cache
def _quiet_background() -> None:
    """Suppresses tracebacks of background threads whose errors the main thread raises too."""
    in_thread, in_library = threading.excepthook, sys.unraisablehook

    def reported_elsewhere(trace: TracebackType | None) -> bool:
        files = [frame.filename for frame in traceback.extract_tb(trace)]
        return threading.current_thread() is not threading.main_thread() and any(
            word in f for f in files for word in SAVING
        )

    def by_thread(error: threading.ExceptHookArgs) -> None:
        if not reported_elsewhere(error.exc_traceback):
            in_thread(error)

    def by_library(error: sys.UnraisableHookArgs) -> None:
        if not reported_elsewhere(error.exc_traceback):
            in_library(error)

    threading.excepthook, sys.unraisablehook = by_thread, by_library


def _leave(code: int) -> int:
    if "dlcore.runtime.processes" not in sys.modules:
        return code
    from dlcore.runtime import processes

    sys.stdout.flush()
    return processes.leave(code)


def refuse(message: str) -> int:
    """Prints why a command is impossible to standard error; returns its exit code, 2."""
    print(f"dlcore: {shortened(message)}", file=sys.stderr, flush=True)
    return 2
