"""What happens to jobs: asked to stop in any phase, hanging, clocks that jump, other processes that
are gone.
"""

from __future__ import annotations

import functools
import itertools
import json
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import pytest

from dlcore.cli import main as cli
from dlcore.data.stream import Stream
from dlcore.runs import program
from dlcore.runs.checkpoint import Checkpoints
from dlcore.runtime.watchdog import Watchdog
from dlcore.train.evaluate import LossEvaluation
from tests.child import LIMIT, card, flags_of, logged, tiny

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


def interrupted(act: Callable[..., Any], *numbers: int, call: int = 1) -> Callable[..., Any]:
    """`act`, with these signals in the midst of its first call, or of another one."""
    calls = itertools.count(1)

    @functools.wraps(act)
    def interrupting(*args: Any, **more: Any) -> Any:
        if next(calls) == call:
            for number in numbers:
                signal.raise_signal(number)
        return act(*args, **more)

    return interrupting


@pytest.mark.slow
@pytest.mark.parametrize(
    ("owner", "name", "number", "saved"),
    [
        (program, "compile_step", signal.SIGTERM, 1),
        pytest.param(LossEvaluation, "__call__", signal.SIGTERM, 4, marks=pytest.mark.nightly),
        (Checkpoints, "save", signal.SIGTERM, 4),
        (LossEvaluation, "__call__", signal.SIGHUP, 4),
    ],
    ids=["compile", "evaluation", "saving", "the terminal is closed"],
)
def test_stop_requested_in_every_phase(
    owner: Any, name: str, number: int, saved: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    uninterrupted()
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, interrupted(getattr(owner, name), number))
        assert cli.main(["train", NAME, *WORDS, "--out", "run"]) == 75
    assert card(Path("run"))["status"] == "stopped"
    assert card(Path("run"))["step"] == saved
    assert (Path("run/checkpoints") / str(saved)).is_dir()
    assert cli.main(["resume", "run"]) == 0
    same(Path("run"))


@pytest.mark.slow
def test_a_clock_that_jumps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A day forward before one step, two back before another: nothing that the run logs
    changes.
    """
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
    interrupting = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert all(line["examples_per_second"] > 0 for line in interrupting if line["split"] == "train")
    assert all(0 <= seconds < LIMIT for seconds in card(Path("run"))["seconds"].values())


@pytest.mark.slow
def test_a_clock_that_jumps_while_a_checkpoint_is_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Orbax then believes that it has waited for too long. The checkpoints before are whole, and
    the run continues from them.
    """
    uninterrupted()
    now, waited = time.time, iter(range(10**9))
    with monkeypatch.context() as patched:
        save = Checkpoints.save

        def jump(self: Checkpoints, *given: Any, **more: Any) -> None:
            if given[1] == 10:
                self.wait()
                patched.setattr(time, "time", lambda: now() + 1000 * next(waited))
            save(self, *given, **more)

        patched.setattr(Checkpoints, "save", jump)
        assert cli.main(["train", NAME, *WORDS, "--out", "run"]) == 75
    said = capsys.readouterr().err
    assert "or the clock jumped; the checkpoint of step 5 is complete: dlcore resume run" in said
    assert cli.main(["resume", "run"]) == 0
    same(Path("run"))


@pytest.mark.slow
def test_a_step_that_hangs_is_reported_with_the_stacks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its data do not come; once they do, the run ends as if nothing had happened."""
    uninterrupted()
    at, stacks = Stream.at, Path("run/stacks.txt")

    def slow(self: Stream, step: int) -> Any:
        end = time.monotonic() + LIMIT
        while (
            step == 7
            and "step 8" not in (stacks.read_text() if stacks.exists() else "")
            and time.monotonic() < end
        ):
            threading.Event().wait(0.01)
        return at(self, step)

    monkeypatch.setattr(Stream, "at", slow)
    assert cli.main(["train", NAME, *WORDS, "--out", "run", "--stall", "1"]) == 0
    interrupting = stacks.read_text()
    assert any(line.endswith("step 8") for line in interrupting.splitlines())
    assert "in slow" in interrupting, "the thread that reads"
    assert "trainer.py" in interrupting, "and the one that waits for it"
    assert "step 8 takes longer than 1 s" in capsys.readouterr().err
    same(Path("run"))


@pytest.mark.quick
def test_a_watchdog_barks_once_for_each_thing_and_says_where_it_cannot_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)

    def look(dog: Watchdog) -> Iterator[bool]:
        """What happens between two looks of it, nine seconds apart: the run tells of `one`, hangs,
        tells of `two`, hangs.
        """
        nonlocal now
        for phase in ("one", "", "", "two", "", ""):
            if phase:
                dog.start_phase(phase)
            now += 9
            yield False
        yield True

    for file, refused in ((tmp_path / "stacks.txt", 0), (tmp_path / "none" / "stacks.txt", 2)):
        dog = Watchdog(10, file)
        looks = look(dog)
        dog.over.wait = lambda _, looks=looks: next(looks)  # type: ignore[method-assign, misc]
        dog._watch()
        lines = [
            line.removeprefix("dlcore: warning: ") for line in capsys.readouterr().err.splitlines()
        ]
        assert [line.split(" ")[0] for line in lines if "takes longer than 10 s" in line] == [
            "one",
            "two",
        ]
        assert sum("cannot be written: No such file" in line for line in lines) == refused
    assert Watchdog(0, tmp_path / "never.txt").thread is None


@pytest.mark.quick
def test_the_thread_of_a_watchdog_ends_with_the_run(tmp_path: Path) -> None:
    with Watchdog(1000, tmp_path / "stacks.txt") as dog:
        assert dog.thread
        assert dog.thread.is_alive()
    assert dog.over.is_set()
    dog.thread.join(LIMIT)
    assert not dog.thread.is_alive()
