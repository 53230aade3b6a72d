"""What libraries print beside their errors is not shown, and everything else is."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from dlcore.runtime import quiet

pytestmark = pytest.mark.quick


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What reaches the hooks that were there before."""
    found: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda about: found.append(str(about.exc_value)))
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: found.append(str(error)))
    quiet.failed_reads.__wrapped__()
    return found


def raised(file: str) -> RuntimeError:
    """An error with one frame, of that file."""
    with pytest.raises(RuntimeError) as error_info:
        exec(compile("raise RuntimeError('closed')", file, "exec"))
    assert error_info.tb
    return error_info.value.with_traceback(error_info.tb.tb_next)


def coroutine(file: str) -> Any:
    """One that was never awaited, of that file."""
    space: dict[str, Any] = {}
    exec(compile("async def read(): pass", file, "exec"), space)
    return space["read"]()


def test_tracebacks_of_asyncio_and_orbax_are_dropped(shown: list[str]) -> None:
    for file in ("/lib/python3.11/asyncio/base_events.py", "/site-packages/orbax/checkpoint/x.py"):
        error = raised(file)
        sys.excepthook(RuntimeError, error, error.__traceback__)
        forgotten = coroutine(file)
        sys.unraisablehook(
            types.SimpleNamespace(exc_value=error, exc_traceback=error.__traceback__, object=None)
        )
        sys.unraisablehook(
            types.SimpleNamespace(exc_value=error, exc_traceback=None, object=forgotten)
        )
        forgotten.close()
    assert shown == []


def test_all_others_are_shown(shown: list[str]) -> None:
    error = raised("/opt/mine.py")
    forgotten = coroutine("/opt/mine.py")
    sys.excepthook(RuntimeError, error, error.__traceback__)
    sys.unraisablehook(
        types.SimpleNamespace(exc_value=error, exc_traceback=error.__traceback__, object=None)
    )
    sys.unraisablehook(types.SimpleNamespace(exc_value=error, exc_traceback=None, object=forgotten))
    forgotten.close()
    assert shown == ["closed"] * 3
