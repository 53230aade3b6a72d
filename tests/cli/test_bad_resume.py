"""What has changed between a stop and a resume: refused with the difference, or accepted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import warnings
from pathlib import Path

import jax
import pytest

from dlcore.cli import main as cli
from dlcore.runs import trust
from tests.child import card
from tests.cli.conftest import MLP, Refused

pytestmark = pytest.mark.slow

TRAIN = ["train", "mlp_digits", *MLP]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


def test_a_run_of_another_experiment(stopped: Path, refused: Refused) -> None:
    refused(*TRAIN, "--out", stopped, mentions=("already holds a run", "experiment mine", "--out"))


def test_a_page_that_changed(
    stopped: Path, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    page = stopped.parent / "mine.py"
    page.write_text(page.read_text().replace("dropout: Rate = 0.3", "dropout: Rate = 0.4"))
    said = refused("resume", stopped, mentions=("started differently", "--accept-changes"))
    assert "- dropout: Rate = 0.3" in said
    assert "+ dropout: Rate = 0.4" in said
    assert cli.main(["resume", "--accept-changes", str(stopped)]) == 0
    record = card(stopped)
    assert (record["status"], record["step"]) == ("done", 12)
    assert "dropout: Rate = 0.4" in record["accepted_changes"][0]
    assert "dropout: Rate = 0.4" in (stopped / "experiment.py").read_text()


def test_a_comment_that_changed_is_no_change(stopped: Path) -> None:
    page = stopped.parent / "mine.py"
    page.write_text(
        page.read_text().replace('"""A feed-forward', '"""Once more: a feed-forward') + "\n# more\n"
    )
    assert cli.main(["resume", str(stopped)]) == 0
    record = card(stopped)
    assert (record["status"], record["step"], record["accepted_changes"]) == ("done", 12, [])
    assert (stopped / "experiment.py").read_text() == page.read_text()


def test_other_versions_and_another_commit_are_said_and_kept(
    stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = card(stopped)
    (stopped / "card.json").write_text(
        json.dumps(
            record
            | {
                "versions": record["versions"] | {"jax": "0.1"},
                "git": {"commit": "a" * 40, "clean": True},
                "xla_flags": os.environ["XLA_FLAGS"],  # the child that trained had its own
            }
        )
    )
    page = stopped.parent / "mine.py"
    subprocess.run(["git", "init", "-q"], cwd=page.parent, check=True)
    own = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    subprocess.run(
        ["git", *own, "commit", "-q", "--allow-empty", "-m", "first"], cwd=page.parent, check=True
    )
    subprocess.run(["git", "add", page.name], cwd=page.parent, check=True)
    assert cli.main(["resume", str(stopped)]) == 0
    said, now = capsys.readouterr().out, card(stopped)
    assert f"differs from its start: versions jax: 0.1 then, {jax.__version__} now" in said
    assert "differs from its start: commit: aaaaaaaaaa then, " in said
    assert "uncommitted changes now" in said
    assert [line.split(":")[0] for line in now["noted_changes"]] == [
        "versions jax",
        "commit",
        "uncommitted changes now",
    ]


def test_a_run_whose_checkpoints_are_gone_says_that_it_begins_again(
    stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(stopped / "checkpoints")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert cli.main(["resume", str(stopped)]) == 0
    said = capsys.readouterr().err
    assert (
        f"warning: {stopped} had reached step 6, but has no checkpoint left: it starts again at"
        " step 0" in said
    )
    assert card(stopped)["step"] == 12


def test_a_mesh_that_is_none_for_a_complete_run(stopped: Path, refused: Refused) -> None:
    assert cli.main(["resume", str(stopped)]) == 0
    refused("resume", stopped, "--mesh", "date=2", mentions=("date=2", "data=4,fsdp=2,tensor=1"))
    refused("resume", stopped, "--mesh", "data=3", mentions=("data=3", "there are 8"))
    assert cli.main(["resume", str(stopped)]) == 0
    assert cli.main(["resume", str(stopped), "--mesh", "data=8"]) == 0


def test_a_page_of_the_same_name_as_an_experiment_of_ours(stopped: Path, refused: Refused) -> None:
    """The file that began the run is compared, and not the one that happens to have its name."""
    page = stopped.parent / "mlp_digits.py"
    trust.remember(page, (stopped.parent / "mine.py").read_text())
    page.write_text((stopped.parent / "mine.py").read_text() + "\nCHANGED = True\n")
    record = card(stopped) | {"experiment": "mlp_digits", "file": str(page)}
    (stopped / "card.json").write_text(json.dumps(record))
    assert "CHANGED = True" in refused("resume", stopped, mentions=("started differently",))


def test_a_page_that_is_gone(stopped: Path, refused: Refused) -> None:
    (stopped.parent / "mine.py").unlink()
    refused("resume", stopped, mentions=("mine.py",))


def test_flags_that_changed(stopped: Path, refused: Refused) -> None:
    refused(
        "resume",
        stopped,
        "--lr",
        "1",
        mentions=("config recipe.lr: 0.002 then, 1.0 now", "--accept-changes"),
    )
    refused(
        "resume", stopped, "--seed", "7", mentions=("flag seed: 0 then, 7 now", "--accept-changes")
    )
