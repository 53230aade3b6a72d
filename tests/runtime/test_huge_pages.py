"""A process that begins again with large pages: the same process, words, input and variables; and
only where that helps.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dlcore.runtime import huge_pages

PROGRAM = """
import os, sys
from dlcore.runtime import huge_pages as pages
if os.environ.get("OFFERED"):
    pages.OFFERED = pages.Path(os.environ["OFFERED"])
print(os.getpid(), flush=True)
pages.large()
print(os.getpid(), sys.argv[1:], os.environ.get("GLIBC_TUNABLES"), sys.stdin.read())
"""


def environments(folder: Path, offered: str, tunables: str = "") -> list[str]:
    (folder / "program.py").write_text(PROGRAM)
    (folder / "enabled").write_text(offered)
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in ("GLIBC_TUNABLES", huge_pages.REQUESTED)
    }
    clean |= {"OFFERED": str(folder / "enabled")} | (
        {"GLIBC_TUNABLES": tunables} if tunables else {}
    )
    command = [sys.executable, "-X", "utf8", str(folder / "program.py"), "a b", "--c"]
    return subprocess.run(
        command, env=clean, input="typed", capture_output=True, text=True, check=True
    ).stdout.splitlines()


@pytest.mark.skipif(sys.platform != "linux", reason="large pages by glibc are Linux's")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", huge_pages.TUNABLE),
        ("glibc.malloc.check=0", f"glibc.malloc.check=0:{huge_pages.TUNABLE}"),
    ],
)
def test_the_process_begins_again_once(before: str, after: str, tmp_path: Path) -> None:
    *pids, last = environments(tmp_path, "always [madvise] never\n", before)
    assert len(pids) == 2
    assert len(set(pids)) == 1
    assert last == f"{pids[0]} ['a b', '--c'] {after} typed"


@pytest.mark.parametrize(
    ("offered", "before"),
    [
        ("[always] madvise never\n", ""),
        ("always madvise [never]\n", ""),
        ("[madvise]", "glibc.malloc.hugetlb=0"),
    ],
)
def test_not_where_it_would_change_nothing_or_somebody_has_decided(
    offered: str, before: str, tmp_path: Path
) -> None:
    pid, last = environments(tmp_path, offered, before)
    assert last == f"{pid} ['a b', '--c'] {before or None} typed"


def test_a_page_that_runs_in_another_program_s_process_leaves_it_alone(tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text(
        "from dlcore.runtime import huge_pages\nhuge_pages.large()\nprint('here')"
    )
    host = (
        f"import runpy\nprint('host')\nrunpy.run_path({str(tmp_path / 'page.py')!r},"
        " run_name='__main__')"
    )
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in ("GLIBC_TUNABLES", huge_pages.REQUESTED)
    }
    done = subprocess.run(
        [sys.executable, "-c", host], env=clean, capture_output=True, text=True, check=True
    )
    assert done.stdout == "host\nhere\n"


def test_a_program_from_a_pipe_is_left_alone() -> None:
    program = "from dlcore.runtime import huge_pages\nhuge_pages.large()\nprint('here')"
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in ("GLIBC_TUNABLES", huge_pages.REQUESTED)
    }
    done = subprocess.run(
        [sys.executable, "-"], env=clean, input=program, capture_output=True, text=True, check=True
    )
    assert done.stdout == "here\n"
