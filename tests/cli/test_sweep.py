"""Many runs over fields of a config: what is tried, and that a stopped sweep is resumed."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dlcore.cli import main as cli
from dlcore.cli import sweep_trials
from tests.child import REPOSITORY, card, environment, flags_of, run, tiny

FLAGS = ["--", *flags_of(tiny("mlp_digits"))]


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands of the trials, run by processes that have imported everything."""
    monkeypatch.chdir(tmp_path)
    found: list[list[str]] = []

    def begin(words: Sequence[str]) -> int:
        found.append(list(words))
        return run(*words[words.index("dlcore") + 1 :], folder=tmp_path)[0]

    monkeypatch.setattr(sweep_trials, "call", begin)
    return found


def kept(folder: str = "sweeps/mlp_digits") -> dict[str, Any]:
    return json.loads((Path(folder) / "sweep.json").read_text())


@pytest.mark.nightly
def test_a_grid_is_run_ranked_shown_and_not_run_again(
    started: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "sweep",
        "mlp_digits",
        "lr=1e-2,1e-4",
        "dropout=0.5",
        "--metric=-validation/loss",
        *FLAGS,
    ]
    assert cli.main(words) == 0
    trials = kept()["trials"]
    assert {(t["values"]["lr"], t["values"]["dropout"]) for t in trials} == {
        ("1e-2", "0.5"),
        ("1e-4", "0.5"),
    }
    losses = [trial["validation/loss"] for trial in trials]
    assert losses == sorted(losses), "lower is better"
    for trial in trials:
        own = card(Path("sweeps/mlp_digits") / trial["run"])
        assert own["config"]["recipe"]["lr"] == float(trial["values"]["lr"])
        assert own["results"]["validation"]["loss"] == trial["validation/loss"]
    assert "Differences" in Path("sweeps/mlp_digits/report.html").read_text()
    assert capsys.readouterr().out.count("trial 00") == 2
    assert cli.main(words) == 0
    assert len(started) == 2, "what has ended is not run again"
    assert kept()["trials"] == trials


@pytest.mark.nightly
def test_a_stopped_trial_goes_on(started: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["sweep", "mlp_digits", "seed=3,4", "--metric", "validation/accuracy", *FLAGS]
    with monkeypatch.context() as patched:
        patched.setattr(sweep_trials, "call", lambda words: 75)
        assert cli.main(words) == 2
    assert started == []
    assert kept()["fields"] == ["seed=3,4"], "what was asked is known from the beginning"
    assert cli.main(words) == 0
    assert [trial["status"] for trial in kept()["trials"]] == ["done", "done"]
    assert {card(Path("sweeps/mlp_digits") / name)["run"]["seed"] for name in ("001", "002")} == {
        3,
        4,
    }
    assert all("--continue-run" in words for words in started)


@pytest.mark.slow
def test_a_launcher_begins_each_trial_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    begun: list[Sequence[str]] = []
    monkeypatch.setattr(sweep_trials, "call", lambda words: begun.append(words) or 0)
    words = [
        "sweep",
        "mlp_digits",
        "lr=1e-4..1e-2:log",
        "--trials",
        "3",
        "--launcher",
        "python -m launch kubernetes --name lr-{run} --",
    ]
    for _ in range(2):
        assert cli.main([*words, "--metric", "test/accuracy", *FLAGS]) == 0
        assert "3 of 3 trials have not ended" in capsys.readouterr().out
    assert len(begun) == 3
    (stopped := Path("sweeps/mlp_digits/002")).mkdir()
    (stopped / "card.json").write_text('{"status": "stopped"}')
    assert cli.main([*words, "--metric", "test/accuracy", *FLAGS]) == 0
    assert f"trial 002 has stopped: this continues it\n{shlex.join(begun[1])}\n" in (
        capsys.readouterr().out
    )
    assert len(begun) == 3
    assert [each[4:7] for each in begun] == [["--name", f"lr-00{i}", "--"] for i in (1, 2, 3)]
    assert begun[0][7:9] == ["train", "mlp_digits"]


@pytest.mark.quick
def test_a_dry_run_shows_commands_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [
        "sweep",
        "mlp_digits",
        "widths=16 16,32",
        "dropout=0.1,0.2",
        "--dry-run",
        "--metric",
        "test/accuracy",
        *FLAGS,
    ]
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    assert "--widths 16 16 --dropout 0.1 --out sweeps/mlp_digits/001 --continue-run" in said
    assert "--widths 16 16 --dropout 0.2 --out sweeps/mlp_digits/002" in said
    assert "--widths 32 --dropout 0.1 --out sweeps/mlp_digits/003" in said
    assert "--widths 32 --dropout 0.2 --out sweeps/mlp_digits/004" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.nightly
def test_another_sweep_in_the_folder_and_a_metric_that_is_none(
    started: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["sweep", "mlp_digits", "seed=1", "--metric", "validation/bleu", *FLAGS]) == 2
    assert (
        "there is no validation/bleu among the results of trial 001: validation/accuracy"
        in capsys.readouterr().err
    )
    assert (
        cli.main(["sweep", "mlp_digits", "seed=1", "--metric", "validation/accuracy", *FLAGS]) == 0
    )
    assert len(started) == 1, "the trial had been trained"
    assert (
        cli.main(["sweep", "mlp_digits", "seed=2", "--metric", "validation/accuracy", *FLAGS]) == 2
    )
    assert (
        "holds another sweep (fields: ['seed=1'] then, ['seed=2'] now)" in capsys.readouterr().err
    )


@pytest.mark.slow
def test_a_signal_reaches_the_trial_which_takes_its_time(tmp_path: Path) -> None:
    child = (
        "import signal, sys, time; signal.signal(signal.SIGINT, lambda *_: (time.sleep(1),"
        " sys.exit(75))); print(flush=True)"
    )
    code = (
        "import sys; from dlcore.cli.sweep_trials import call; sys.exit(call([sys.executable, '-c',"
        f" {child + '; time.sleep(60)'!r}]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        env=environment(PYTHONPATH=str(REPOSITORY)),
    ) as request:
        assert request.stdout
        request.stdout.readline()
        request.send_signal(signal.SIGINT)
        assert request.wait(60) == 75
