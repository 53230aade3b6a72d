"""Stopping and going on: the same bits as without a stop, however a run was stopped, and
whenever.
"""

from __future__ import annotations

import contextlib
import functools
import random
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.child import (
    Child,
    card,
    experiments,
    flags_of,
    logged,
    run,
    tiny,
    without_times,
)

pytestmark = pytest.mark.slow

STEPS, SAVE = 60, 7
SEED = random.SystemRandom().randrange(10**6)
OFTEN = ["--steps", str(STEPS), "--save-every", str(SAVE), "--log-every", "1", "--eval-every", "25"]


def words(name: str, out: Path) -> list[Any]:
    return ["train", name, *flags_of(tiny(name)), *OFTEN, "--out", out]


@functools.cache
def uninterrupted(name: str) -> Path:
    """A run that nobody stopped."""
    folder = Path(tempfile.mkdtemp())
    code, said = run(*words(name, folder / "run"), folder=folder)
    assert code == 0, said
    return folder / "run"


def last_step(out: Path) -> int:
    """The last logged training step."""
    return max((line["step"] for line in logged(out, "train")), default=0)


def unfinished(out: Path) -> set[int]:
    """The checkpoints that are being written. Orbax writes into a folder of another name and
    renames it at the end.
    """
    found = set()
    for path in (out / "checkpoints").glob("*tmp*"):
        with contextlib.suppress(FileNotFoundError):
            found.add(path.stat().st_ino)
    return found


def same(name: str, out: Path, stopped: set[int] = frozenset()) -> None:
    """Parameters, results and the log are those of the uninterrupted run.

    A run that was asked to stop logs what it has done so far: the mean over an interval then stands
    in two lines.
    """
    whole, ours = uninterrupted(name), card(out)
    assert ours["status"] == "done"
    assert ours["step"] == STEPS
    assert ours["params_sha256"] == card(whole)["params_sha256"]
    assert without_times(ours["results"]) == without_times(card(whole)["results"])
    want, got = logged(whole), logged(out)
    places = [
        (line["step"], line["split"], name)
        for line in got
        for name in line.keys() - {"step", "split"}
    ]
    assert len(places) == len(set(places))
    split = {
        step
        for step in stopped
        if step not in {line["step"] for line in want if line["split"] == "train"}
    }
    after = {min(line["step"] for line in want if line["step"] > step) for step in split}
    keep = [
        line for line in got if not (line["split"] == "train" and line["step"] in split | after)
    ]
    assert keep == [
        line for line in want if not (line["split"] == "train" and line["step"] in after)
    ]


@pytest.mark.parametrize("name", experiments("mlp_digits"))
def test_killed_twice_and_interrupted_once(name: str, tmp_path: Path) -> None:
    """kill -9 at any moment, kill -9 while a checkpoint is being written, SIGTERM at any moment;
    then to the end.
    """
    dice = random.Random(f"{SEED} {name}")
    print(f"seed {SEED}")
    out = tmp_path / "run"
    uninterrupted(name)

    child, moment = Child(*words(name, out), folder=tmp_path), dice.randint(1, 20)
    child.until(lambda: last_step(out) >= moment)
    child.send(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL

    left = unfinished(out)
    child = Child("resume", out, folder=tmp_path)
    child.stop_at(lambda: bool(unfinished(out) - left))
    child.send(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert unfinished(out)

    child, moment = Child("resume", out, folder=tmp_path), dice.randint(1, 15)
    child.until(lambda: f"resuming {name}" in child.output())
    reached = last_step(out)
    child.until(lambda: last_step(out) >= min(reached + moment, STEPS - 15))
    child.send(signal.SIGTERM)
    assert child.wait() == 75, child.output()
    assert "dlcore resume" in child.output()
    stopped = card(out)
    assert stopped["status"] == "stopped"
    assert (out / "checkpoints" / str(stopped["step"])).is_dir()

    code, said = run("resume", out, folder=tmp_path)
    assert code == 0, said
    assert not unfinished(out), "what a killed write left behind is gone"
    same(name, out, {stopped["step"]})
    assert card(out)["resumed"] == 3


def test_a_log_without_interruption_and_after_kill_is_the_same_line_by_line(tmp_path: Path) -> None:
    out, name = tmp_path / "run", "mlp_digits"
    child = Child(*words(name, out), folder=tmp_path)
    child.until(lambda: last_step(out) >= 2 * SAVE + 3)
    child.send(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    # A line that was cut in half by the kill, and one of steps that are trained again.
    with (out / "metrics.jsonl").open("a") as log:
        log.write('{"step": 59, "split": "train", "net/loss": 7.0}\n{"step": 60, "spl')
    code, said = run("resume", out, folder=tmp_path)
    assert code == 0, said
    same(name, out)


def test_interrupt_saves_and_exits_130(tmp_path: Path) -> None:
    out, name = tmp_path / "run", "mlp_digits"
    child = Child(*words(name, out), folder=tmp_path)
    child.until(lambda: last_step(out) >= 5)
    child.send(signal.SIGINT)
    assert child.wait() == 130, child.output()
    assert "Traceback" not in child.output()
    stopped = card(out)
    assert stopped["status"] == "stopped"
    code, said = run("resume", out, folder=tmp_path)
    assert code == 0, said
    same(name, out, {stopped["step"]})


def test_resume_of_a_complete_run_changes_nothing(tmp_path: Path) -> None:
    whole = uninterrupted("mlp_digits")
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    code, said = run("resume", whole, folder=tmp_path)
    assert (code, "nothing to do" in said) == (0, True)
    assert before == {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}


@pytest.mark.nightly
def test_killed_before_the_first_checkpoint_begins_again(tmp_path: Path) -> None:
    out, name = tmp_path / "run", "mlp_digits"
    child = Child(*words(name, out), folder=tmp_path)
    child.until(lambda: (out / "card.json").exists())
    child.send(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not any(path.name.isdigit() for path in (out / "checkpoints").glob("*"))
    code, said = run("resume", out, folder=tmp_path)
    assert code == 0, said
    same(name, out)
