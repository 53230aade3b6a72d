"""Command lines and run folders that nobody would write: a message, an exit code, no traceback, no
hang, no run left "running".

All of it is drawn from DLCORE_FUZZ_SEED, by default the number of the day. A failure says which
seed and cases to draw again: `DLCORE_FUZZ_SEED=739000 pytest -m nightly tests/cli/test_fuzz.py -k
lines-3`.
"""

from __future__ import annotations

import datetime
import json
import os
import random
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.child import Child, card, run
from tests.cli.spoil import TINY, commands, damage, harmless, lines, spoilt

pytestmark = pytest.mark.nightly
SEED = int(os.environ.get("DLCORE_FUZZ_SEED") or datetime.date.today().toordinal())
LINES, FOLDERS, GROUP = 500, 200, 20
SECONDS, MORE_SECONDS = 20.0, 60.0  # a command takes one or two; then it is asked to stop, and must
CODES = {0, 1, 2, 70, 75, 130}  # 1: verify finds a difference


@pytest.fixture(scope="module")
def runs() -> Iterator[Path]:
    """A folder with a run that is done, one that is stopped, and a file that is neither."""
    folder = Path(tempfile.mkdtemp())
    code, said = run(
        "train",
        "mlp_digits",
        *TINY,
        "--save-every",
        "3",
        "--out",
        "run",
        folder=folder,
        JAX_NUM_CPU_DEVICES="1",
    )
    assert code == 0, said
    shutil.copytree(folder / "run", folder / "stopped")
    record = card(folder / "stopped")
    record |= {"status": "stopped", "steps": 9, "config": record["config"] | {"steps": 9}}
    (folder / "stopped" / "card.json").write_text(json.dumps(record, indent=2))
    (folder / "file").write_text("a file")
    yield folder
    shutil.rmtree(folder)


def running(folder: Path) -> set[Path]:
    """The runs that say that they are running."""

    def status(file: Path) -> Any:
        try:
            return json.loads(file.read_bytes()).get("status")
        except (OSError, ValueError, AttributeError):
            return None

    return {
        file for file in folder.rglob("card.json") if file.is_file() and status(file) == "running"
    }


def fault(words: list[str], folder: Path) -> str:
    """Run a command; what is wrong with how it ended, or nothing."""
    before = running(folder)
    child = Child(
        *words, folder=folder, JAX_NUM_CPU_DEVICES="1", XDG_STATE_HOME=str(folder / "state")
    )
    for seconds, end in ((SECONDS, child.process.terminate), (MORE_SECONDS, child.process.kill)):
        child.process.join(seconds)
        if child.process.exitcode is not None:
            break
        end()
    child.process.join(MORE_SECONDS)
    code, said = child.process.exitcode, child.output()
    child.output_file.unlink(missing_ok=True)
    # in a phase that has nothing to save
    stopped_early = code == -signal.SIGTERM and not running(folder) - before
    wrong = []
    if code == -signal.SIGKILL:
        wrong.append(f"it did not stop {MORE_SECONDS} s after it was asked to")
    elif code not in CODES and not stopped_early:
        wrong.append(f"exit code {code}")
    if "Traceback" in said:
        wrong.append("a traceback")
    if code == 2 and "dlcore" not in said and "usage" not in said.lower() and "─" not in said:
        wrong.append("no message")
    if left := running(folder) - before:
        wrong.append(f"left running: {sorted(map(str, left))}")
    return f"{words} in {folder}: {', '.join(wrong)}\n{said[-3000:]}" if wrong else ""


def faults(
    kind: str,
    group: int,
    count: int,
    case: Callable[[random.Random, Path], Iterator[str]],
    runs: Path,
) -> list[str]:
    """What is wrong with a group of cases, each in a folder of its own."""
    found = []
    for number in range(group * GROUP, min(count, (group + 1) * GROUP)):
        folder = Path(tempfile.mkdtemp())
        shutil.copytree(runs, folder, dirs_exist_ok=True)
        for wrong in case(random.Random(f"{SEED}-{kind}-{number}"), folder):
            found.append(f"{kind} {number}: {wrong}")
        shutil.rmtree(folder, ignore_errors=True)
    return found


def again(kind: str, group: int, found: list[str]) -> str:
    """What is said of a group with faults: how to see them again, and each of them."""
    record = "\n".join(found)
    return (
        f"{len(found)} faults; DLCORE_FUZZ_SEED={SEED} pytest -m nightly tests/cli/test_fuzz.py -k"
        f" {kind}-{group}\n{record}"
    )


def groups(kind: str, count: int) -> pytest.MarkDecorator:
    """The groups of `count` cases, for two processes of the test run."""
    shared = [pytest.mark.xdist_group(f"fuzz-{half}") for half in range(2)]
    return pytest.mark.parametrize(
        "group",
        [pytest.param(n, marks=shared[n % 2], id=f"{kind}-{n}") for n in range(count // GROUP)],
    )


@groups("lines", LINES)
def test_command_lines(group: int, runs: Path) -> None:
    def case(draw: random.Random, folder: Path) -> Iterator[str]:
        words = spoilt(lines(draw), draw)
        if harmless(words) and (wrong := fault(words, folder)):
            yield wrong

    found = faults("lines", group, LINES, case, runs)
    assert not found, again("lines", group, found)


@groups("folders", FOLDERS)
def test_run_folders(group: int, runs: Path) -> None:
    def case(draw: random.Random, folder: Path) -> Iterator[str]:
        done = [damage(folder / "stopped", draw) for _ in range(draw.randint(1, 3))]
        for words in commands(draw):
            if wrong := fault(words, folder):
                yield f"{done}: {wrong}"

    found = faults("folders", group, FOLDERS, case, runs)
    assert not found, again("folders", group, found)
