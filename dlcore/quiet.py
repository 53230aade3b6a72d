"""What libraries print beside their errors, and nobody can use: XLA's loader of programs; Orbax and asyncio after a failed read."""

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


def accelerated() -> bool:
    """May there be an accelerator on this machine?"""
    return any(any(Path("/dev").glob(pattern)) for pattern in ACCELERATORS)


def loader() -> None:
    """XLA's pages about features of the processor that a program from the cache did not use; with an accelerator its log is kept."""
    if accelerated() or "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = LEVEL
    if "jaxlib" in sys.modules:  # it has read the variable when it was loaded, as by an experiment file that runs as a program
        from jax._src.lib import utils

        utils.absl_set_min_log_level(int(LEVEL))


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

    def except_hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not _only_storage(trace):
            uncaught(kind, error, trace)

    sys.unraisablehook, sys.excepthook = unraisable, except_hook


def _of_storage(code: CodeType | None) -> bool:
    parts = code.co_filename.replace("\\", "/").split("/") if code else []
    return any(name in parts for name in STORAGE)


def _only_storage(trace: TracebackType | None) -> bool:
    frames = [frame for frame, _ in traceback.walk_tb(trace)]
    return bool(frames) and all(_of_storage(frame.f_code) for frame in frames)
