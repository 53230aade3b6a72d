"""Real processes on loopback: they train together, and one that dies takes the others with it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.child import REPOSITORY, environment

FLAGS = ["--widths", "16", "--batch", "32", "--offline", "--log-every", "1"]


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "launch",
        "local",
        "--processes",
        "2",
        "--",
        "train",
        "mlp_digits",
        *FLAGS,
        *words,
    ]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment(PYTHONPATH=str(REPOSITORY)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.nightly
def test_two_ranks_train_one_run_and_only_the_first_speaks(tmp_path: Path) -> None:
    child = start(tmp_path, "--steps", "4")
    output, _ = child.communicate(timeout=120)
    assert child.returncode == 0, output
    assert "[0] done at step 4/4" in output
    assert "[1] done" not in output
    assert [path.name for path in (tmp_path / "runs" / "mlp_digits").iterdir()] == ["001"]


@pytest.mark.nightly
def test_a_killed_rank_is_named_and_ends_the_others(tmp_path: Path) -> None:
    child = start(tmp_path, "--steps", "1000000")
    assert child.stdout
    for line in child.stdout:
        if re.match(r"\[0\] step \d", line):
            break
    ranks = [
        int(p) for p in Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    ]
    places = {
        Path(f"/proc/{p}/environ").read_bytes().split(b"DLCORE_PROCESS_ID=")[1][:1]: p
        for p in ranks
    }
    os.kill(places[b"1"], signal.SIGKILL)
    output, _ = child.communicate(timeout=60)
    assert child.returncode == 128 + signal.SIGKILL
    assert "rank 1 was killed by signal 9; ending the others" in output
    assert not any(Path(f"/proc/{p}").exists() for p in ranks)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["local", "--processes", "2"], "name a command after --"),
        (["local", "--processes", "0", "--", "list"], "at least 1"),
    ],
)
def test_what_cannot_be_launched_is_refused(words: list[str], why: str) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "launch", *words],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert answer.returncode == 2
    assert why in answer.stderr
