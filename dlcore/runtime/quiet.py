"""What libraries print beside their errors, and nobody can use: XLA's loader of programs; Orbax and
asyncio after a failed read.
"""

from __future__ import annotations

import functools
import os
import sys
import traceback
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any

STORAGE = ("orbax", "tensorstore", "asyncio")


ACCELERATORS = ("nvidia[0-9]*", "accel*", "vfio", "kfd", "dxg")  # their devices, below /dev
LEVEL = "3"  # of XLA's log: nothing below an end of the process
JAX_LEVEL = "1"  # which JAX sets itself where there is none


def accelerated() -> bool:
    """May there be an accelerator on this machine?"""
    return any(any(Path("/dev").glob(pattern)) for pattern in ACCELERATORS)


def loader() -> bool:
    """Silences XLA's pages about features of the processor that a program from the cache did not
    use; True if it came too late.

    XLA reads the level when it is loaded: an experiment file that runs as a program has loaded it
    by then. With an accelerator, or where the user has set a level, the log is kept.
    """
    loaded, level = "jaxlib" in sys.modules, os.environ.get("TF_CPP_MIN_LOG_LEVEL")
    if accelerated() or (level is not None and not (loaded and level == JAX_LEVEL)):
        return False
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = LEVEL
    return loaded


@functools.cache
def failed_reads() -> None:
    """From now on: exceptions of forgotten coroutines, and of callbacks into a closed event loop.

    What a read or write raises reaches its caller all the same, and is said once there.
    """
    forgotten, uncaught = sys.unraisablehook, sys.excepthook

    def unraisable(about: Any) -> None:
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
