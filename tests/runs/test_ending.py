"""Runs that are interrupted twice or three times, whose folder goes away, that end in an error:
nothing lost, nothing "running".
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import pytest

from dlcore.cli import main as cli
from dlcore.runs import program
from dlcore.runs.checkpoint import Checkpoints
from dlcore.runs.run import Run
from dlcore.runtime import signals
from dlcore.seeds.program import SeedProgram
from dlcore.train.evaluate import LossEvaluation
from tests.child import card, logged
from tests.runs.test_faults import (
    NAME,
    WORDS,
    interrupted,
    same,
    uninterrupted,
)

TWICE = [signal.SIGINT, signal.SIGINT]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("owner", "name", "call", "saved", "unevaluated"),
    [
        pytest.param(LossEvaluation, "__call__", 2, 8, 8, marks=pytest.mark.nightly),
        # before the second evaluation
        pytest.param(Run, "log_training", 7, 8, 8, marks=pytest.mark.nightly),
        (Checkpoints, "save", 2, 6, 0),
    ],
    ids=["evaluation", "logging", "saving"],
)
def test_a_second_ctrl_c_saves_what_there_is(
    owner: Any,
    name: str,
    call: int,
    saved: int,
    unevaluated: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It does not wait for an evaluation, which `resume` makes up for; nothing is lost."""
    uninterrupted()
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, interrupted(getattr(owner, name), *TWICE, call=call))
        assert cli.main(["train", NAME, *WORDS, "--out", "run"]) == 130
    assert "Traceback" not in capsys.readouterr().err
    record = card(Path("run"))
    assert record["status"] == "stopped"
    assert (record["step"], record.get("unevaluated", 0)) == (saved, unevaluated)
    assert (Path("run/checkpoints") / str(record["step"])).is_dir()
    assert cli.main(["resume", "run"]) == 0
    same(Path("run"))
    assert "unevaluated" not in card(Path("run"))


@pytest.mark.slow
def test_a_second_ctrl_c_before_the_first_step_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "compile_step", interrupted(program.compile_step, *TWICE))
    assert cli.main(["train", NAME, *WORDS, "--out", "run"]) == 130
    assert "dlcore: interrupted: nothing was trained yet\n" in capsys.readouterr().err
    assert not Path("run").exists()


@pytest.mark.nightly
def test_a_second_ctrl_c_saves_every_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["train", NAME, *WORDS, "--seeds", "2"]
    assert cli.main([*words, "--out", "whole"]) == 0
    with monkeypatch.context() as patched:
        patched.setattr(SeedProgram, "evaluate", interrupted(SeedProgram.evaluate, *TWICE, call=2))
        assert cli.main([*words, "--out", "seeds"]) == 130
    for seed in ("seed-0", "seed-1"):
        record = card(Path("seeds", seed))
        assert (record["status"], record["step"], record["unevaluated"]) == ("stopped", 8, 8)
    assert cli.main([*words, "--out", "seeds", "--continue-run"]) == 0
    for seed in ("seed-0", "seed-1"):
        assert (
            card(Path("seeds", seed))["params_sha256"] == card(Path("whole", seed))["params_sha256"]
        )
        assert logged(Path("seeds", seed), "validation") == logged(
            Path("whole", seed), "validation"
        )


@pytest.mark.quick
def test_a_signal_that_a_process_was_begun_to_ignore_is_ignored() -> None:
    """`nohup` ignores SIGHUP."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signals.numbers() == [signal.SIGTERM, signal.SIGINT]
        with signals.stop_requested() as received:
            os.kill(os.getpid(), signal.SIGHUP)
            assert received == []
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.quick
def test_what_must_not_be_cut_in_two_is_finished_before_a_second_ctrl_c() -> None:
    done = []
    with signals.stop_requested() as received:
        with signals.uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            done.append("it")
        assert received == TWICE
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert done == ["it"]


@pytest.mark.quick
def test_a_second_ctrl_c_in_a_step_is_raised_before_the_next_evaluation() -> None:
    for count in (0, 1, 2):
        with signals.stop_requested():
            with signals.uninterrupted():
                for _ in range(count):
                    signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt) if count == 2 else contextlib.nullcontext():
                signals.raise_deferred()
            signals.raise_deferred()  # once


def in_the_second_evaluation(act: Callable[[], Any]) -> Callable[..., Any]:
    """Evaluates, but for what happens in the midst of the second time."""
    calls, call = itertools.count(1), LossEvaluation.__call__

    def evaluate(*args: Any) -> Any:
        if next(calls) == 2:
            act()
        return call(*args)

    return evaluate


@pytest.mark.slow
def test_a_third_ctrl_c_says_what_is_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> None:
        while not Path("run/checkpoints/5").is_dir():  # it is written in the background
            threading.Event().wait(0.01)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    uninterrupted()
    with monkeypatch.context() as patched:
        patched.setattr(LossEvaluation, "__call__", in_the_second_evaluation(interrupt))
        patched.setattr(Checkpoints, "save", interrupted(Checkpoints.save, signal.SIGINT, call=3))
        assert cli.main(["train", NAME, *WORDS, "--out", "run"]) == 130
    said = capsys.readouterr().err
    assert (
        "interrupted: what came after the checkpoint of step 5 is lost; dlcore resume run continues"
        " from there" in said
    )
    assert card(Path("run"))["status"] == "stopped"
    assert cli.main(["resume", "run"]) == 0
    same(Path("run"))


@pytest.mark.slow
def test_a_run_folder_that_is_renamed_under_its_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def rename() -> None:
        while not Path("run/checkpoints/5").is_dir():  # it is written in the background
            threading.Event().wait(0.01)
        Path("run").rename("other")

    uninterrupted()
    with monkeypatch.context() as patched:
        patched.setattr(LossEvaluation, "__call__", in_the_second_evaluation(rename))
        assert cli.main(["train", NAME, *WORDS, "--out", "run"]) == 2
    said = capsys.readouterr().err
    assert said.count("dlcore: ") == 1
    assert "run was removed or renamed during its run" in said
    assert f"dlcore resume {Path.cwd() / 'other'} continues it" in said
    assert "Traceback" not in said
    assert not Path("run").exists(), [*Path("run").rglob("*")]
    assert not Path("run").exists(), "nothing is written where the run was"
    assert card(Path("other"))["status"] == "stopped"
    assert cli.main(["resume", "other"]) == 0
    same(Path("other"))


@pytest.mark.slow
@pytest.mark.parametrize("again", [False, True], ids=["removed", "another one in its place"])
def test_a_run_folder_that_is_removed_under_its_run(
    again: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def remove() -> None:
        while Path("run").exists():  # a checkpoint may be on its way into it
            shutil.rmtree("run", ignore_errors=True)
        if again:
            Path("run").mkdir()

    monkeypatch.setattr(LossEvaluation, "__call__", in_the_second_evaluation(remove))
    assert cli.main(["train", NAME, *WORDS, "--out", "run"]) == 2
    said = capsys.readouterr().err
    assert said.count("dlcore: ") == 1
    assert "run was removed or renamed during its run" in said
    assert "Traceback" not in said
    assert not Path("run/card.json").exists()


@pytest.mark.slow
def test_no_error_leaves_a_run_that_is_said_to_be_running(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("a bug")

    uninterrupted()
    with monkeypatch.context() as patched:
        patched.setattr(LossEvaluation, "__call__", in_the_second_evaluation(fail))
        # told at the line of this file that raised it
        assert cli.main(["train", NAME, *WORDS, "--out", "run"]) == 2
    assert (card(Path("run"))["status"], card(Path("run"))["error"]) == ("stopped", "a bug")
    assert cli.main(["resume", "run"]) == 0
    same(Path("run"))
