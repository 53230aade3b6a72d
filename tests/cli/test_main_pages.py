"""Experiment files as programs, and files of one's own given to the commands."""

from __future__ import annotations

import runpy
import shlex
import shutil
import sys
from pathlib import Path

import jax
import pytest

from dlcore.cli import main as cli
from dlcore.report import runs as report_runs
from dlcore.report.command import reproduce
from tests.child import REPOSITORY, card
from tests.cli.test_help import python
from tests.cli.test_main import SHORT

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


def test_a_page_run_as_main_trains_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    page = str(REPOSITORY / "experiments" / "mlp_digits.py")
    monkeypatch.setattr(sys, "argv", [page, *SHORT[2:], "--out", "run"])
    monkeypatch.setenv("DLCORE_LARGE_PAGES", "1")  # this process does not begin again
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(page, run_name="__main__")
    assert not ended.value.code
    assert card(Path("run"))["experiment"] == "mlp_digits"


@pytest.mark.nightly
def test_a_page_is_a_program(tmp_path: Path) -> None:
    words = [str(REPOSITORY / "experiments" / "mlp_digits.py"), *SHORT[2:], "--out", "run"]
    done = python(*words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert card(tmp_path / "run")["experiment"] == "mlp_digits"
    # XLA reads its level when the page imports jax: with none given, its loader of cached programs
    # must be silent all the same.
    words[-1] = "again"
    done = python(*words, folder=tmp_path, without="TF_CPP_MIN_LOG_LEVEL")
    assert done.returncode == 0, done.stderr
    assert "cpu_aot_loader" not in done.stderr
    assert all(line.startswith(("step ", "compil")) for line in done.stderr.splitlines()), (
        done.stderr
    )


def test_a_file_of_ones_own_trains_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "elsewhere" / "mine.py"
    mine.parent.mkdir()
    shutil.copy(REPOSITORY / "experiments" / "mlp_digits.py", mine)
    assert cli.main(["train", str(mine), *SHORT[2:], "--out", "run"]) == 0
    assert card(Path("run"))["experiment"] == "mine"
    assert cli.main(["resume", "run", "--steps", "9", "--accept-changes"]) == 0
    assert card(Path("run"))["step"] == 9
    assert cli.main(["eval", "run"]) == 0
    assert "step 9" in capsys.readouterr().out


@pytest.mark.nightly
def test_a_run_of_a_file_of_ones_own_goes_on_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("there").mkdir()
    shutil.copy(REPOSITORY / "experiments" / "mlp_digits.py", "mine.py")
    assert cli.main(["train", "mine.py", *SHORT[2:], "--out", "run"]) == 0
    monkeypatch.chdir("there")
    assert cli.main(["eval", "../run"]) == 0
    assert cli.main(["resume", "../run", "--steps", "7", "--accept-changes"]) == 0


@pytest.mark.nightly
def test_the_command_of_a_report_keeps_switches_that_are_off_and_names_the_file(
    tmp_path: Path,
) -> None:
    shutil.copy(REPOSITORY / "experiments" / "mlp_digits.py", "mine.py")
    assert (
        cli.main(
            [
                "train",
                "mine.py",
                *SHORT[2:],
                "--diagnose",
                "never",
                "--out",
                "run",
                "--continue-run",
            ]
        )
        == 0
    )
    again = shlex.split(str(reproduce(report_runs.read(Path("run")))))
    assert again[:3] == ["dlcore", "train", str(tmp_path / "mine.py")]
    assert again[again.index("--diagnose") + 1] == "never"
    assert "--continue-run" not in again
    assert cli.main([*again[1:], "--out", "again"]) == 0
    assert card(Path("again"))["run"]["diagnose"] == "never"
    assert cli.main([*SHORT, "--out", "ours"]) == 0
    assert shlex.split(str(reproduce(report_runs.read(Path("ours")))))[2] == "mlp_digits"


@pytest.mark.nightly
def test_offline_begins_with_the_page_s_own_config_for_it(tmp_path: Path) -> None:
    text = (REPOSITORY / "experiments" / "mlp_digits.py").read_text(encoding="utf-8")
    Path("mine.py").write_text(
        text.replace(
            "PRESETS = {", 'PRESETS = {"offline": Config(widths=(8,), batch=32, steps=3), '
        )
    )
    assert cli.main(["train", "mine.py", "--offline", "--out", "a"]) == 0
    assert cli.main(["train", "mine.py", "--offline", "--steps", "2", "--out", "b"]) == 0
    assert card(Path("b"))["config"]["widths"] == [8]
    assert (card(Path("a"))["steps"], card(Path("b"))["steps"]) == (3, 2)


def test_without_out_a_file_of_ones_own_has_its_own_folder(tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "experiments" / "mlp_digits.py", "mine.py")
    assert cli.main(["train", "mine.py", *SHORT[2:]]) == 0
    assert card(Path("runs/mine/001"))["file"].endswith("mine.py")
