"""Error messages for experiment files: their own lines, without frames of libraries and dlcore."""

from __future__ import annotations

import dis
import os
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import TypeVar

from dlcore.errors import Disrupted, UsageError

T = TypeVar("T")
# from the outermost to the one that raised
Frames = Sequence[tuple[FrameType, traceback.FrameSummary]]
OURS = Path(__file__).resolve().parents[1]
LIBRARIES = [
    Path(sysconfig.get_path(name)).resolve()
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
]
STORAGE = ("orbax", "tensorstore")  # what writes and reads checkpoints
SHOW_ALL = "JAX_TRACEBACK_FILTERING"  # JAX's own variable: "off" shows every frame
LINES = 15  # lines of a message that are shown


def explained(command: Callable[[], T]) -> T:
    """Calls `command` and returns its result.

    Raises:
        UsageError: an error that `explain` explains. All others are raised unchanged.
    """
    try:
        return command()
    except (UsageError, Disrupted):
        raise
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        raise UsageError(message) from error


def explain(error: Exception) -> str | None:
    """Explains an error of an experiment file or of storage, or a missing key of a mapping.

    Returns:
        A message: for an error that passed through an experiment file or a module beside it, the
        error, its place and these files' frames; for one of Orbax or TensorStore its first line;
        for a KeyError in dlcore's code the keys that the mapping has, if they are known. None for
        all others, and for all errors where JAX_TRACEBACK_FILTERING is "off".
    """
    if os.environ.get(SHOW_ALL, "").lower() == "off":
        return None
    frames = list(
        zip(_frames(error.__traceback__), traceback.extract_tb(error.__traceback__), strict=True)
    )
    own = [each for each in frames if _is_own(each[0].f_code)]
    packages = [_package(frame) for frame, _ in frames]
    what, place = _message(error, frames), _place((own or frames)[-1][1])
    if own:
        hidden = sorted(
            {_package(frame) for frame, _ in frames if not _is_own(frame.f_code)} - {""}
        )
        note = (
            f"\n(frames of {', '.join(hidden)} are left out: {SHOW_ALL}=off shows them)"
            if hidden
            else ""
        )
        shown = "".join(
            traceback.StackSummary.from_list([line for _, line in own]).format()
        ).rstrip()
        return f"{place}: {what}{note}\n{shown}"
    if any(package in STORAGE for package in packages):
        return (
            f"a checkpoint cannot be read or written: {what.splitlines()[0]}; {SHOW_ALL}=off shows"
            " where"
        )
    # a loss of dlcore misses a key of the batch
    if packages[-1] == "dlcore" and isinstance(error, KeyError) and _keys(error, frames):
        return f"{place}: {what}"
    return None


def deliberate(error: Exception) -> bool:
    """Returns whether a `raise` statement of an experiment file or of dlcore raised the error.

    Args:
        error: a caught error, with its traceback.

    Returns:
        False where the innermost frame is of a library, or where an expression failed in one of
        ours, such as int("x"); also without a traceback.
    """
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None:
        return False
    code, at = last.tb_frame.f_code, last.tb_lasti
    return (_is_own(code) or OURS in Path(code.co_filename).parents) and dis.opname[
        code.co_code[at]
    ] == "RAISE_VARARGS"


def rejecting(function: Callable[[], T], about: str = "", hint: str = "") -> T:
    """Calls a function and returns its result; `deliberate` ValueErrors become UsageErrors.

    Args:
        function: without arguments.
        about, hint: texts before and after the error's message.

    Raises:
        UsageError: a `raise` statement of an experiment or of dlcore raised a ValueError. All other
            errors are raised unchanged.
    """
    try:
        return function()
    except ValueError as error:
        if not deliberate(error):  # an error in NumPy, for example, needs its traceback
            raise
        raise UsageError(f"{about}{error}{hint}") from error


def _frames(trace: TracebackType | None) -> Iterator[FrameType]:
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


def _is_own(code: CodeType) -> bool:
    """Whether this is code of an experiment file, or of a module beside it."""
    file = Path(code.co_filename)
    return file.suffix == ".py" and not any(above in file.parents for above in (OURS, *LIBRARIES))


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _place(line: traceback.FrameSummary) -> str:
    return f"{Path(line.filename).name}, line {line.lineno}" + (
        f", in {line.name}" if line.name != "<module>" else ""
    )


def _message(error: Exception, frames: Frames) -> str:
    text = f"{type(error).__name__}: {error}".removesuffix(": ")
    if isinstance(error, KeyError) and (keys := _keys(error, frames)):
        text += f"; {keys}"
    lines = text.splitlines()
    return "\n".join(lines[:LINES] + (["..."] if len(lines) > LINES else []))


def _keys(error: KeyError, frames: Frames) -> str:
    """The available keys where one was missing: "batch has image, label"; "" if unknown."""
    key = error.args[0] if error.args else None
    for frame, line in [*frames[-1:], *[each for each in frames if _is_own(each[0].f_code)][-1:]]:
        for name, value in frame.f_locals.items():
            if isinstance(value, Mapping) and key not in value and f"{name}[" in (line.line or ""):
                return f"{name} has {', '.join(map(str, value)) or 'no keys'}"
    return ""
