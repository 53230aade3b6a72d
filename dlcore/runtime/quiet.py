"""Suppresses messages of libraries that do not help a user: of XLA's loader, Orbax and asyncio."""

from __future__ import annotations

import functools
import os
import sys
import traceback
from pathlib import Path
from types import CodeType, TracebackType

STORAGE = ("orbax", "tensorstore", "asyncio")


ACCELERATORS = ("nvidia[0-9]*", "accel*", "vfio", "kfd", "dxg")  # names of their devices in /dev
LEVEL = "3"  # of XLA's log: fatal errors only
JAX_LEVEL = "1"  # JAX sets this level where there is none


def accelerated() -> bool:
    """Returns whether this machine may have an accelerator, by the device files in /dev."""
    return any(any(Path("/dev").glob(pattern)) for pattern in ACCELERATORS)


def loader() -> bool:
    """Silences XLA's messages on processor features of cached programs; returns True if too late.

    XLA reads the log level when it is loaded, which has happened already where an experiment file
    runs as a program. The log is kept on machines with an accelerator, or where the user has set a
    level.
    """
    loaded, level = "jaxlib" in sys.modules, os.environ.get("TF_CPP_MIN_LOG_LEVEL")
    if accelerated() or (level is not None and not (loaded and level == JAX_LEVEL)):
        return False
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = LEVEL
    return loaded


@functools.cache
def failed_reads() -> None:
    """Suppresses, from now on, messages of storage libraries about abandoned coroutines.

    These are errors that no caller can catch, such as callbacks into a closed event loop. The error
    of a failed read or write itself still reaches its caller.
    """
    forgotten, uncaught = sys.unraisablehook, sys.excepthook

    def unraisable(about: sys.UnraisableHookArgs) -> None:
        code = getattr(about.object, "cr_code", None)
        if not (_of_storage(code) or _only_storage(about.exc_traceback)):
            forgotten(about)

    def except_hook(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if not _only_storage(trace):
            uncaught(kind, error, trace)

    sys.unraisablehook, sys.excepthook = unraisable, except_hook


def _of_storage(code: CodeType | None) -> bool:
    parts = code.co_filename.replace("\\", "/").split("/") if code else []
    return any(name in parts for name in STORAGE)


def _only_storage(trace: TracebackType | None) -> bool:
    frames = [frame for frame, _ in traceback.walk_tb(trace)]
    return bool(frames) and all(_of_storage(frame.f_code) for frame in frames)
