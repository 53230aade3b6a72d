"""What happens to jobs: asked to stop in any phase, hanging, clocks that jump, other processes that are gone."""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import jax
import pytest

from dlcore import cli
from dlcore.data.stream import Stream
from dlcore.errors import Disrupted
from dlcore.train import parallel, processes
from dlcore.train.checkpoint import Checkpoints
from dlcore.train.evaluate import Evaluator
from dlcore.train.watchdog import Watchdog
from tests.child import LIMIT, REPOSITORY, card, environment, flags_of, logged, run, tiny

NAME = "mlp_digits"
WORDS = [*flags_of(tiny(NAME)), "--steps", "12", "--save-every", "5", "--eval-every", "4", "--log-every", "1"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


@functools.cache
def uninterrupted() -> dict[str, Any]:
    """The card of a run that nothing happened to."""
    with tempfile.TemporaryDirectory() as folder:
        assert cli.main(["train", NAME, *WORDS, "--out", f"{folder}/run"]) == 0
        return card(Path(folder) / "run")


def same(out: Path) -> None:
    """A run ended as if nothing had happened to it."""
    assert card(out)["params_sha256"] == uninterrupted()["params_sha256"]
    assert card(out)["results"] == uninterrupted()["results"]
    assert [line["step"] for line in logged(out, "validation")] == [4, 8, 12]


def first_asked(act: Callable[..., Any]) -> Callable[..., Any]:
    """`act`, with SIGTERM in the midst of its first call."""
    asked: list[bool] = []

    @functools.wraps(act)
    def told(*args: Any, **more: Any) -> Any:
        if not asked:
            asked.append(True)
            os.kill(os.getpid(), signal.SIGTERM)
        return act(*args, **more)

    return told


@pytest.mark.parametrize(
    ("owner", "name", "saved"),
    [(parallel, "compile_step", 1), (Evaluator, "__call__", 4), (Checkpoints, "save", 6)],
    ids=["compile", "evaluation", "saving"],
)
def test_asked_to_stop_in_every_phase(owner: Any, name: str, saved: int, monkeypatch: pytest.MonkeyPatch) -> None:
    uninterrupted()
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, first_asked(getattr(owner, name)))
        assert cli.main(["train", NAME, *WORDS, "--out", "run"]) == 75
    assert card(Path("run"))["status"] == "stopped"
    assert card(Path("run"))["step"] == saved
    assert (Path("run/checkpoints") / str(saved)).is_dir()
    assert cli.main(["resume", "run"]) == 0
    same(Path("run"))


def test_a_clock_that_jumps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A day forward before one step, two back before another: nothing that is told of the run changes."""
    uninterrupted()
    now, at, days = time.time, Stream.at, {3: 1, 7: -1}
    shift = [0]

    def jump(self: Stream, step: int) -> Any:
        shift[0] = 86400 * days.get(step, shift[0] // 86400)
        return at(self, step)

    monkeypatch.setattr(Stream, "at", jump)
    monkeypatch.setattr(time, "time", lambda: now() + shift[0])
    assert cli.main(["train", NAME, *WORDS, "--save-every", "12", "--out", "run"]) == 0
    assert shift == [-86400]
    same(Path("run"))
    told = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert all(line["examples_per_second"] > 0 for line in told if line["split"] == "train")
    assert all(0 <= seconds < LIMIT for seconds in card(Path("run"))["seconds"].values())


def test_a_clock_that_jumps_while_a_checkpoint_is_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Orbax then believes that it has waited for too long. The checkpoints before are whole, and the run goes on from them."""
    uninterrupted()
    now, waited = time.time, iter(range(10**9))
    with monkeypatch.context() as patched:
        save = Checkpoints.save

        def jump(self: Checkpoints, *given: Any) -> None:
            if given[1] == 10:
                self.wait()
                patched.setattr(time, "time", lambda: now() + 1000 * next(waited))
            save(self, *given)

        patched.setattr(Checkpoints, "save", jump)
        assert cli.main(["train", NAME, *WORDS, "--out", "run"]) == 75
    said = capsys.readouterr().err
    assert "or the clock jumped; the checkpoint of step 5 is complete: dlcore resume run" in said
    assert cli.main(["resume", "run"]) == 0
    same(Path("run"))


def test_a_step_that_hangs_is_told_with_the_stacks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Its data do not come; once they do, the run ends as if nothing had happened."""
    uninterrupted()
    at, stacks = Stream.at, Path("run/stacks.txt")

    def slow(self: Stream, step: int) -> Any:
        end = time.monotonic() + LIMIT
        while step == 7 and "slow" not in (stacks.read_text() if stacks.exists() else "") and time.monotonic() < end:
            threading.Event().wait(0.01)
        return at(self, step)

    monkeypatch.setattr(Stream, "at", slow)
    assert cli.main(["train", NAME, *WORDS, "--out", "run", "--stall", "1"]) == 0
    told = stacks.read_text()
    assert told.splitlines()[0].endswith("step 8")
    assert "in slow" in told, "the thread that reads"
    assert "fit.py" in told, "and the one that waits for it"
    assert "step 8 takes longer than 1 s" in capsys.readouterr().err
    same(Path("run"))


@pytest.mark.quick
def test_a_watchdog_barks_once_for_each_thing_and_says_where_it_cannot_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)

    def look(dog: Watchdog) -> Iterator[bool]:
        """What happens between two looks of it, nine seconds apart: the run tells of `one`, hangs, tells of `two`, hangs."""
        nonlocal now
        for busy in ("one", "", "", "two", "", ""):
            if busy:
                dog.tell(busy)
            now += 9
            yield False
        yield True

    for file, refused in ((tmp_path / "stacks.txt", 0), (tmp_path / "none" / "stacks.txt", 2)):
        dog = Watchdog(10, file)
        looks = look(dog)
        dog.over.wait = lambda _, looks=looks: next(looks)  # type: ignore[method-assign, misc]
        dog._look()
        lines = [line.removeprefix("dlcore: warning: ") for line in capsys.readouterr().err.splitlines()]
        assert [line.split(" ")[0] for line in lines if "takes longer than 10 s" in line] == ["one", "two"]
        assert sum("cannot be written: No such file" in line for line in lines) == refused
    assert Watchdog(0, tmp_path / "never.txt").thread is None


@contextmanager
def pair(words: Callable[[int], list[str]], folder: Path, **more: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two processes of one run, of `python WORDS`; what they say goes to said-0.txt and said-1.txt."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with ExitStack() as held:
        started = []
        for rank in range(2):
            own = {"DLCORE_COORDINATOR": f"127.0.0.1:{port}", "DLCORE_PROCESSES": "2", "DLCORE_PROCESS_ID": str(rank)}
            said = held.enter_context((folder / f"said-{rank}.txt").open("w"))
            call = [sys.executable, *words(rank)]
            started.append(subprocess.Popen(call, cwd=folder, env=environment(**own, **more), stdout=said, stderr=said))
            held.callback(started[-1].wait)
            held.callback(started[-1].kill)
        yield started


def until(met: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT
    while not met():
        assert time.monotonic() < end
        time.sleep(0.02)


def endless(*more: str) -> list[str]:
    return ["-m", "dlcore.cli", "train", NAME, *WORDS, "--steps", "1000000", "--save-every", "20", "--out", "run", *more]


def newest(run: Path) -> int:
    """The step of the newest whole checkpoint."""
    return max((int(path.name) for path in (run / "checkpoints").glob("[0-9]*") if path.name.isdigit()), default=0)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_dies_ends_the_other_at_once_and_nothing_saved_is_lost(rank: int, tmp_path: Path) -> None:
    """Without a launcher, and long before a heartbeat is missed."""
    with pair(lambda _: endless("--heartbeat", "1000"), tmp_path) as both:
        until(lambda: newest(tmp_path / "run") >= 40)
        both[rank].kill()
        code = both[1 - rank].wait(LIMIT)
    said = (tmp_path / f"said-{1 - rank}.txt").read_text()
    # JAX's own service ends a process that it sees first: with the coordinator, in any case.
    assert code == 75 or (code == -signal.SIGABRT and "Terminating process because the JAX distributed service" in said), (
        code,
        said,
    )
    if code == 75:
        assert "dlcore: another process of this run has died or cannot be reached" in said
        assert "dlcore resume run" in said
    saved = newest(tmp_path / "run")
    assert saved >= 40
    code, told = run("resume", "run", "--steps", str(saved + 1), "--accept-changes", "--mesh=", folder=tmp_path)
    assert code == 0, told
    assert card(tmp_path / "run")["step"] == saved + 1
    assert [line["step"] for line in logged(tmp_path / "run", "train")] == list(range(1, saved + 2)), "nothing was trained again"


def test_ctrl_c_in_one_of_two_processes_saves_in_both(tmp_path: Path) -> None:
    with pair(lambda _: endless("--heartbeat", "1000", "--save-every", "1000000"), tmp_path) as both:
        until(lambda: bool(logged(tmp_path / "run", "train")))
        both[1].send_signal(signal.SIGINT)
        assert [each.wait(LIMIT) for each in both] == [75, 130]
    assert card(tmp_path / "run")["status"] == "stopped"
    assert card(tmp_path / "run")["step"] == newest(tmp_path / "run") > 0


def test_the_first_process_may_take_its_time_at_the_end(tmp_path: Path) -> None:
    """It alone draws samples; the others wait for it for longer than a heartbeat."""
    page = "import dataclasses\nimport time\nfrom experiments.mlp_digits import *\nfrom experiments.mlp_digits import build as sound\n"
    page += "def build(c):\n    slow = lambda state, key: time.sleep(6) or []\n    return dataclasses.replace(sound(c), sample=slow)\n"
    (tmp_path / "slow.py").write_text(page)
    words = ["-m", "dlcore.cli", "train", "slow.py", *WORDS, "--out", "run", "--heartbeat", "2"]
    with pair(lambda _: words, tmp_path, PYTHONPATH=str(REPOSITORY)) as both:
        assert [each.wait(LIMIT) for each in both] == [0, 0], (tmp_path / "said-0.txt").read_text()
    assert card(tmp_path / "run")["status"] == "done"


def test_a_process_that_freezes_is_taken_for_dead(tmp_path: Path) -> None:
    with pair(lambda _: endless("--heartbeat", "2"), tmp_path) as (first, second):
        until(lambda: bool(logged(tmp_path / "run", "train")))
        second.send_signal(signal.SIGSTOP)
        assert first.wait(LIMIT) not in (0, 2)
    assert "stopped sending heartbeats" in (tmp_path / "said-0.txt").read_text()


MEETING = """
import os, sys, pathlib, time
from dlcore.errors import Disrupted
from dlcore.train import processes
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
    assert "process 1 did not come to the barrier 'the meeting' in 1 s" in (tmp_path / "said-0.txt").read_text()


@pytest.mark.quick
@pytest.mark.parametrize(
    ("message", "lost"),
    [
        ("UNKNOWN: Gloo all-reduce failed: Read error: Connection reset by peer", True),
        ("INTERNAL: NCCL operation ncclAllReduce failed: remote process exited", True),
        ("RESOURCE_EXHAUSTED: Out of memory allocating 17179869184 bytes", False),
    ],
)
def test_only_what_another_process_did_is_blamed_on_it(message: str, lost: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(Disrupted if lost else jax.errors.JaxRuntimeError), processes.together("go on"):
        raise jax.errors.JaxRuntimeError(message)
