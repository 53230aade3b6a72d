"""Two processes of one run: one dies, freezes, is interrupted, or takes its time; the other says
so, and nothing saved is lost.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import jax
import pytest

from dlcore.errors import Disrupted
from dlcore.runtime import processes
from tests.child import LIMIT, REPOSITORY, card, environment, flags_of, logged, run, tiny

pytestmark = pytest.mark.slow

NAME = "mlp_digits"
WORDS = [
    *flags_of(tiny(NAME)),
    "--steps",
    "12",
    "--save-every",
    "5",
    "--eval-every",
    "4",
    "--log-every",
    "1",
]


@contextmanager
def pair(
    words: Callable[[int], list[str]], folder: Path, **more: str
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two processes of one run, of `python WORDS`; what they say goes to said-0.txt and
    said-1.txt.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with ExitStack() as held:
        started = []
        for rank in range(2):
            own = {
                "DLCORE_COORDINATOR": f"127.0.0.1:{port}",
                "DLCORE_PROCESSES": "2",
                "DLCORE_PROCESS_ID": str(rank),
            }
            said = held.enter_context((folder / f"said-{rank}.txt").open("w"))
            call = [sys.executable, *words(rank)]
            started.append(
                subprocess.Popen(
                    call, cwd=folder, env=environment(**own, **more), stdout=said, stderr=said
                )
            )
            held.callback(started[-1].wait)
            held.callback(started[-1].kill)
        yield started


def until(met: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT
    while not met():
        assert time.monotonic() < end
        time.sleep(0.02)


def endless(*more: str) -> list[str]:
    return [
        "-m",
        "dlcore",
        "train",
        NAME,
        *WORDS,
        "--steps",
        "1000000",
        "--save-every",
        "20",
        "--out",
        "run",
        *more,
    ]


def newest(run: Path) -> int:
    """The step of the newest whole checkpoint."""
    return max(
        (int(path.name) for path in (run / "checkpoints").glob("[0-9]*") if path.name.isdigit()),
        default=0,
    )


@pytest.mark.nightly
@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_dies_ends_the_other_at_once_and_nothing_saved_is_lost(
    rank: int, tmp_path: Path
) -> None:
    """Without a launcher, and long before a heartbeat is missed."""
    with pair(lambda _: endless("--heartbeat", "1000"), tmp_path) as both:
        until(lambda: newest(tmp_path / "run") >= 40)
        both[rank].kill()
        code = both[1 - rank].wait(LIMIT)
    said = (tmp_path / f"said-{1 - rank}.txt").read_text()
    # JAX's own service ends a process that it sees first: with the coordinator, in any case.
    assert code == 75 or (
        code == -signal.SIGABRT
        and "Terminating process because the JAX distributed service" in said
    ), (
        code,
        said,
    )
    if code == 75:
        assert "dlcore: another process of this run has died or cannot be reached" in said
        assert "dlcore resume run" in said
    saved = newest(tmp_path / "run")
    assert saved >= 40
    code, output = run(
        "resume", "run", "--steps", str(saved + 1), "--accept-changes", "--mesh=", folder=tmp_path
    )
    assert code == 0, output
    assert card(tmp_path / "run")["step"] == saved + 1
    assert [line["step"] for line in logged(tmp_path / "run", "train")] == list(
        range(1, saved + 2)
    ), "nothing was trained again"


@pytest.mark.nightly
def test_ctrl_c_in_one_of_two_processes_saves_in_both(tmp_path: Path) -> None:
    with pair(
        lambda _: endless("--heartbeat", "1000", "--save-every", "1000000"), tmp_path
    ) as both:
        until(lambda: bool(logged(tmp_path / "run", "train")))
        both[1].send_signal(signal.SIGINT)
        assert [each.wait(LIMIT) for each in both] == [75, 130]
    assert card(tmp_path / "run")["status"] == "stopped"
    assert card(tmp_path / "run")["step"] == newest(tmp_path / "run") > 0


@pytest.mark.nightly
def test_the_first_process_may_take_its_time_at_the_end(tmp_path: Path) -> None:
    """It alone draws samples; the others wait for it for longer than a heartbeat."""
    page = (
        "import dataclasses\nimport time\nfrom experiments.mlp_digits import *\nfrom"
        " experiments.mlp_digits import build as usual\n"
    )
    page += "def build(c, splits):\n    slow = lambda state, key: time.sleep(6) or []\n"
    page += "    return dataclasses.replace(usual(c, splits), samples=[slow])\n"
    (tmp_path / "slow.py").write_text(page)
    words = ["-m", "dlcore", "train", "slow.py", *WORDS, "--out", "run", "--heartbeat", "2"]
    with pair(lambda _: words, tmp_path, PYTHONPATH=str(REPOSITORY)) as both:
        assert [each.wait(LIMIT) for each in both] == [0, 0], (tmp_path / "said-0.txt").read_text()
    assert card(tmp_path / "run")["status"] == "done"


@pytest.mark.nightly
def test_a_process_that_freezes_is_taken_for_dead(tmp_path: Path) -> None:
    with pair(lambda _: endless("--heartbeat", "2"), tmp_path) as (first, second):
        until(lambda: bool(logged(tmp_path / "run", "train")))
        second.send_signal(signal.SIGSTOP)
        assert first.wait(LIMIT) not in (0, 2)
    assert "stopped sending heartbeats" in (tmp_path / "said-0.txt").read_text()


MEETING = """
import os, sys, pathlib, time
from dlcore.errors import Disrupted
from dlcore.runtime import processes
processes.join(30)
processes.barrier("all are here")
if os.environ["DLCORE_PROCESS_ID"] == "0":
    try:
        processes.barrier("the meeting", seconds=1)
    except Disrupted as error:
        print(error)
    pathlib.Path("over").touch()
while not pathlib.Path("over").exists():
    time.sleep(0.02)
sys.stdout.flush()
os._exit(0)
"""


def test_a_barrier_has_a_name_and_a_limit_of_time(tmp_path: Path) -> None:
    with pair(lambda rank: ["-c", MEETING], tmp_path) as both:
        assert [each.wait(LIMIT) for each in both] == [0, 0], (tmp_path / "said-0.txt").read_text()
    assert (
        "process 1 did not reach the barrier 'the meeting' in 1 s"
        in (tmp_path / "said-0.txt").read_text()
    )


@pytest.mark.quick
@pytest.mark.parametrize(
    ("message", "lost"),
    [
        ("UNKNOWN: Gloo all-reduce failed: Read error: Connection reset by peer", True),
        ("INTERNAL: NCCL operation ncclAllReduce failed: remote process exited", True),
        ("RESOURCE_EXHAUSTED: Out of memory allocating 17179869184 bytes", False),
    ],
)
def test_only_what_another_process_did_is_blamed_on_it(
    message: str, lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with (
        pytest.raises(Disrupted if lost else jax.errors.JaxRuntimeError),
        processes.together("go on"),
    ):
        raise jax.errors.JaxRuntimeError(message)
