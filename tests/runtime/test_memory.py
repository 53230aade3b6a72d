"""malloc has one arena for each core; a long run collects its cycles of references."""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from dlcore.runtime import memory

THREADS = 6
PROGRAM = f"""
import ctypes, os, threading
from dlcore.runtime import memory
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
memory.limit_arenas()
barrier, blocks = threading.Barrier({THREADS} + 1), []
def allocate():
    blocks.append(bytearray(5000))
    barrier.wait()
    barrier.wait()
threads = [threading.Thread(target=allocate) for _ in range({THREADS})]
for each in threads:
    each.start()
barrier.wait()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
output = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, output)
libc.fflush(output)
barrier.wait()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="arenas are of glibc's malloc")
@pytest.mark.parametrize(
    ("settings", "arenas"),
    [
        ({}, 1),
        ({"MALLOC_ARENA_MAX": "3"}, 3),
        ({"GLIBC_TUNABLES": "glibc.malloc.arena_max=2"}, 2),
    ],
)
def test_there_is_an_arena_for_each_core_unless_the_user_has_set_another_limit(
    settings: dict[str, str], arenas: int
) -> None:
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in ("GLIBC_TUNABLES", "MALLOC_ARENA_MAX")
    }
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=clean | settings,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.count("<heap nr=") == arenas


class Node:
    """An object that can be referred to weakly, and is in a cycle of references with itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def disabled() -> Iterator[None]:
    """Python itself collects nothing."""
    gc.disable()
    gc.unfreeze()  # what tests/conftest.py has frozen
    yield
    gc.freeze()
    gc.enable()


@pytest.mark.usefixtures("disabled")
def test_cycles_are_collected_when_due_and_what_the_first_collection_left_is_frozen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(memory.time, "monotonic", lambda: now)
    with memory.Collector() as collector:
        early = weakref.ref(Node())
        now = memory.EVERY - 1
        collector.collect_if_due()
        assert early() is not None
        assert gc.get_freeze_count() == 0
        now = memory.EVERY
        collector.collect_if_due()
        assert early() is None
        assert gc.get_freeze_count() > 1000
        now = 2 * memory.EVERY - 1
        late = weakref.ref(Node())
        collector.collect_if_due()
        assert late() is not None
        now = 2 * memory.EVERY
        collector.collect_if_due()
        assert late() is None
    assert gc.get_freeze_count() == 0


@pytest.mark.usefixtures("disabled")
def test_objects_that_the_caller_has_frozen_remain_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(memory.time, "monotonic", lambda: now)
    gc.freeze()
    cycle = weakref.ref(Node())
    with memory.Collector() as collector:
        now = memory.EVERY
        collector.collect_if_due()
        assert cycle() is None
    assert gc.get_freeze_count() > 1000
