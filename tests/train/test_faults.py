"""What happens to jobs: asked to stop in any phase, hanging, clocks that jump, other processes that are gone."""

from __future__ import annotations

import functools
import itertools
import json
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import pytest

from dlcore import cli
from dlcore.data.stream import Stream
from dlcore.train import parallel, signals
from dlcore.train.checkpoint import Checkpoints
from dlcore.train.evaluate import Evaluator
from dlcore.train.watchdog import Watchdog
from tests.child import LIMIT, card, flags_of, logged, tiny

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


def asked(act: Callable[..., Any], *numbers: int, call: int = 1) -> Callable[..., Any]:
    """`act`, with these signals in the midst of its first call, or of another one."""
    calls = itertools.count(1)

    @functools.wraps(act)
    def told(*args: Any, **more: Any) -> Any:
        if next(calls) == call:
            for number in numbers:
                signal.raise_signal(number)
        return act(*args, **more)

    return told


@pytest.mark.parametrize(
    ("owner", "name", "number", "saved"),
    [
        (parallel, "compile_step", signal.SIGTERM, 1),
        (Evaluator, "__call__", signal.SIGTERM, 4),
        (Checkpoints, "save", signal.SIGTERM, 6),
        (Evaluator, "__call__", signal.SIGHUP, 4),
    ],
    ids=["compile", "evaluation", "saving", "the terminal is closed"],
)
def test_asked_to_stop_in_every_phase(owner: Any, name: str, number: int, saved: int, monkeypatch: pytest.MonkeyPatch) -> None:
    uninterrupted()
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, asked(getattr(owner, name), number))
        assert cli.main(["train", NAME, *WORDS, "--out", "run"]) == 75
    assert card(Path("run"))["status"] == "stopped"
    assert card(Path("run"))["step"] == saved
    assert (Path("run/checkpoints") / str(saved)).is_dir()
    assert cli.main(["resume", "run"]) == 0
    same(Path("run"))


TWICE = [signal.SIGINT, signal.SIGINT]


@pytest.mark.parametrize(
    ("owner", "name", "call", "saved"),
    [(Evaluator, "__call__", 2, 8), (Checkpoints, "save", 2, 11)],
    ids=["evaluation", "saving"],
)
def test_a_second_ctrl_c_saves_what_there_is(
    owner: Any, name: str, call: int, saved: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It does not wait for an evaluation, which `resume` makes up for; nothing is lost."""
    uninterrupted()
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, asked(getattr(owner, name), *TWICE, call=call))
        assert cli.main(["train", NAME, *WORDS, "--out", "run"]) == 130
    assert "Traceback" not in capsys.readouterr().err
    told = card(Path("run"))
    assert told["status"] == "stopped"
    assert told["step"] == saved
    assert (Path("run/checkpoints") / str(told["step"])).is_dir()
    assert cli.main(["resume", "run"]) == 0
    same(Path("run"))
    assert "unevaluated" not in card(Path("run"))


def test_a_second_ctrl_c_before_the_first_step_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(parallel, "compile_step", asked(parallel.compile_step, *TWICE))
    assert cli.main(["train", NAME, *WORDS, "--out", "run"]) == 130
    assert "dlcore: interrupted: nothing was trained yet\n" in capsys.readouterr().err
    assert not Path("run").exists()


@pytest.mark.quick
def test_a_signal_that_a_process_was_begun_to_ignore_is_ignored() -> None:
    """`nohup` ignores SIGHUP."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signals.numbers() == [signal.SIGTERM, signal.SIGINT]
        with signals.asked_to_stop() as came:
            os.kill(os.getpid(), signal.SIGHUP)
            assert came == []
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.quick
def test_what_must_not_be_cut_in_two_is_finished_before_a_second_ctrl_c() -> None:
    done = []
    with signals.asked_to_stop() as came:
        with signals.uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            done.append("it")
        assert came == TWICE
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert done == ["it"]


def in_the_second_evaluation(act: Callable[[], Any]) -> Callable[..., Any]:
    """Evaluates, but for what happens in the midst of the second time."""
    calls, call = itertools.count(1), Evaluator.__call__

    def evaluate(*args: Any) -> Any:
        if next(calls) == 2:
            act()
        return call(*args)

    return evaluate


def test_a_third_ctrl_c_says_what_is_lost(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt() -> None:
        while not Path("run/checkpoints/5").is_dir():  # it is written in the background
            threading.Event().wait(0.01)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    uninterrupted()
    with monkeypatch.context() as patched:
        patched.setattr(Evaluator, "__call__", in_the_second_evaluation(interrupt))
        patched.setattr(Checkpoints, "save", asked(Checkpoints.save, signal.SIGINT, call=2))
        assert cli.main(["train", NAME, *WORDS, "--out", "run"]) == 130
    said = capsys.readouterr().err
    assert "interrupted: what came after the checkpoint of step 5 is lost; dlcore resume run goes on from there" in said
    assert card(Path("run"))["status"] == "stopped"
    assert cli.main(["resume", "run"]) == 0
    same(Path("run"))


def test_a_run_folder_that_is_renamed_under_its_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    uninterrupted()
    with monkeypatch.context() as patched:
        patched.setattr(Evaluator, "__call__", in_the_second_evaluation(lambda: Path("run").rename("other")))
        assert cli.main(["train", NAME, *WORDS, "--out", "run"]) == 2
    said = capsys.readouterr().err
    assert said.count("dlcore: ") == 1
    assert "run was removed or renamed under its run" in said
    assert f"dlcore resume {Path.cwd() / 'other'} goes on with it" in said
    assert "Traceback" not in said
    assert not Path("run").exists(), [*Path("run").rglob("*")]
    assert not Path("run").exists(), "nothing is written where the run was"
    assert card(Path("other"))["status"] == "stopped"
    assert cli.main(["resume", "other"]) == 0
    same(Path("other"))


@pytest.mark.parametrize("again", [False, True], ids=["removed", "another one in its place"])
def test_a_run_folder_that_is_removed_under_its_run(
    again: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def remove() -> None:
        while Path("run").exists():  # a checkpoint may be on its way into it
            shutil.rmtree("run", ignore_errors=True)
        if again:
            Path("run").mkdir()

    monkeypatch.setattr(Evaluator, "__call__", in_the_second_evaluation(remove))
    assert cli.main(["train", NAME, *WORDS, "--out", "run"]) == 2
    said = capsys.readouterr().err
    assert said.count("dlcore: ") == 1
    assert "run was removed or renamed under its run" in said
    assert "Traceback" not in said
    assert not Path("run/card.json").exists()


def test_no_error_leaves_a_run_that_is_said_to_be_running(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("a bug")

    uninterrupted()
    with monkeypatch.context() as patched:
        patched.setattr(Evaluator, "__call__", in_the_second_evaluation(fail))
        with pytest.raises(RuntimeError, match="a bug"):
            cli.main(["train", NAME, *WORDS, "--out", "run"])
    assert (card(Path("run"))["status"], card(Path("run"))["error"]) == ("stopped", "a bug")
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
        while step == 7 and "step 8" not in (stacks.read_text() if stacks.exists() else "") and time.monotonic() < end:
            threading.Event().wait(0.01)
        return at(self, step)

    monkeypatch.setattr(Stream, "at", slow)
    assert cli.main(["train", NAME, *WORDS, "--out", "run", "--stall", "1"]) == 0
    told = stacks.read_text()
    assert any(line.endswith("step 8") for line in told.splitlines())
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
