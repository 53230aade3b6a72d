"""What a user can get wrong: exit code 2, one message that names the cause and the way out, and
nothing lost or left behind.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import pytest

from dlcore.cli import main as cli
from dlcore.runs import catalog, trust
from tests.child import REPOSITORY, card, flags_of, run, tiny

MLP = flags_of(tiny("mlp_digits"))
TRAIN = ["train", "mlp_digits", *MLP]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


@pytest.fixture(scope="module")
def half() -> Iterator[Path]:
    """A run of a page of one's own that was stopped after 6 of 12 steps."""
    folder = Path(tempfile.mkdtemp())
    shutil.copy(REPOSITORY / "experiments" / "mlp_digits.py", folder / "mine.py")
    code, said = run(
        "train", folder / "mine.py", *MLP, "--save-every", "3", "--out", "run", folder=folder
    )
    assert code == 0, said
    record = card(folder / "run")
    record |= {"status": "stopped", "steps": 12, "config": record["config"] | {"steps": 12}}
    (folder / "run" / "card.json").write_text(json.dumps(record))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def stopped(half: Path, tmp_path: Path) -> Path:
    """That run with its page, to be changed."""
    shutil.copytree(half, tmp_path, dirs_exist_ok=True)
    trust.remember(tmp_path / "mine.py", catalog.source(tmp_path / "mine.py"))
    record = card(tmp_path / "run") | {"file": str(tmp_path / "mine.py")}
    (tmp_path / "run" / "card.json").write_text(json.dumps(record))
    return tmp_path / "run"


class Refused:
    """Runs commands that must be refused."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *words: Any, mentions: tuple[str, ...]) -> str:
        before = contents(Path.cwd())
        self.capsys.readouterr()
        try:
            code = cli.main([str(word) for word in words])
        except SystemExit as end:  # the parser of flags ends by itself
            code = end.code
        said = self.capsys.readouterr()
        text = " ".join(said.err.replace("│", " ").split())
        assert code == 2, (code, said)
        for mention in mentions:
            assert mention in text, said.err
        assert "Traceback" not in said.err
        assert said.err.count("dlcore: ") + said.err.count("full helptext") == 1, (
            f"one message: {said.err}"
        )
        assert contents(Path.cwd()) == before
        return text


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    return Refused(capsys)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file, and every folder; but no locks, which are empty."""
    return {
        str(path): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
        if path.name != "lock" and not path.is_symlink()
    }


@pytest.mark.quick
def test_unknown_experiment(refused: Refused) -> None:
    refused("train", "mlp_digit", mentions=("'mlp_digit'", "did you mean mlp_digits?"))
    refused("train", "zzzzqqq", mentions=("'zzzzqqq'", "dlcore list"))
    refused("train", "nowhere/mine.py", mentions=("nowhere/mine.py",))


@pytest.mark.quick
def test_the_name_of_a_file_without_its_ending(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "mlp_digitz.py").write_text("")
    said = refused("train", "mlp_digitz", mentions=("a file mlp_digitz.py", "with its ending"))
    assert "mean" not in said


@pytest.mark.quick
def test_a_file_that_is_no_experiment(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "notes.py").write_text('"""Notes."""\nx = 1\n')
    refused("train", "notes.py", mentions=("notes.py", "build(config, splits)", "Config"))
    fields = "batch: int = 1\n    steps: int = 1\n    width: int"
    text = (
        "from dataclasses import dataclass\n\n\n@dataclass(kw_only=True)\nclass Config:\n   "
        f" {fields}\n\n\ndef data(c, source): pass\n\n\ndef build(c, splits): pass\n"
    )
    (tmp_path / "bare.py").write_text(text)
    refused("train", "bare.py", mentions=("bare.py", "a default for width"))
    (tmp_path / "broken.py").write_text("def build(:\n")
    refused("train", "broken.py", mentions=("broken.py", "line 1"))
    (tmp_path / "fails.py").write_text('"""Fails."""\nimport no_such_package\n')
    refused("train", "fails.py", mentions=("fails.py", "no_such_package"))


@pytest.mark.parametrize(
    ("flags", "mentions"),
    [
        (["--learning-rate", "1"], ("--learning-rate",)),
        (["--step", "10"], ("--step", "--steps")),
        (["--steps", "many"], ("--steps", "many", "int")),
        (["--lr", "fast"], ("--lr", "fast", "float")),
        (["--parallel", "magic"], ("--parallel", "magic", "shard_map")),
        (["--batch"], ("--batch",)),
        (["--batch", "1e20"], ("--batch", "1e20", "int")),
    ],
    ids=lambda x: "_".join(x),
)
def test_flags(flags: list[str], mentions: tuple[str, ...], refused: Refused) -> None:
    refused("train", "mlp_digits", *flags, mentions=mentions)


@pytest.mark.parametrize("name", ["cnn_fashion_mnist", "gpt_tiny_shakespeare"])
def test_data_that_are_not_prepared(
    name: str, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    refused(
        "train",
        name,
        mentions=("is not prepared", f"dlcore prepare {name.partition('_')[2]}", "--offline"),
    )


@pytest.mark.parametrize(
    ("flags", "mentions"),
    [
        (["--mesh", "data=3"], ("data=3", "there are 8")),
        (["--mesh", "data=4,model=2"], ("model=2", "data=4,fsdp=2,tensor=1")),
        (["--mesh", "data"], ("'data'",)),
        (["--mesh", "data=0"], ("data=0",)),
        (["--mesh", "data=2,fsdp=4", "--parallel", "pmap"], ("--parallel pmap", "--parallel jit")),
        (["--batch", "36"], ("--batch 36", "8 devices", "--batch 32")),
        (["--batch", "32", "--microbatches", "3"], ("3 microbatches", "--batch 24")),
        (["--batch", "0"], ("--batch 0", "at least 1")),
        (["--microbatches", "0"], ("--microbatches 0", "at least 1")),
        (["--steps", "0"], ("--steps 0",)),
        (["--steps", "-3"], ("--steps -3",)),
        (["--log-every", "0"], ("--log-every 0",)),
        (["--keep", "0"], ("--keep 0",)),
        (["--eval-every", "-1"], ("--eval-every -1",)),
        (["--threads", "0"], ("--threads 0",)),
        (["--threads", f"{10**20}"], (f"--threads {10**20}", "at most 1024")),
        (["--cpu-devices", f"{10**20}"], (f"--cpu-devices {10**20}", "at most 64")),
        (["--batch", f"{10**20}"], (f"--batch {10**20}", "at most 2147483647")),
        (["--steps", f"{2**31}"], (f"--steps {2**31}", "at most 2147483647")),
        (["--heartbeat", "0"], ("--heartbeat 0", "at least 1")),
        (["--seed", "-1"], ("--seed -1", "at least 0")),
        (["--seed", f"{2**32}"], (f"--seed {2**32}", f"at most {2**32 - 1}")),
        (["--dropout", "1"], ("--dropout 1.0", "at least 0 and below 1")),
        (["--widths", "16", "0"], ("--widths 0", "at least 1")),
        (["--lr", "-1"], ("--lr -1.0", "at least 0")),
        (["--lr", "nan"], ("--lr nan", "a finite number")),
        (["--lr", "1e39"], ("--lr 1e+39", "at most 3.4")),
        (["--out", "~"], ("--out ~", "$HOME")),
        (["--out", "~/runs/a"], ("--out ~/runs/a", "$HOME")),
    ],
    ids=lambda x: "_".join(x),
)
def test_numbers_that_do_not_fit(
    flags: list[str], mentions: tuple[str, ...], refused: Refused
) -> None:
    refused(*TRAIN, *flags, mentions=mentions)


@pytest.mark.parametrize("command", ["resume", "eval", "sample", "report", "export"])
def test_a_run_that_is_missing_or_none(command: str, refused: Refused, tmp_path: Path) -> None:
    more = ["last.npz"] if command == "export" else []
    refused(command, "runs/9", *more, mentions=("runs/9",))
    (tmp_path / "empty").mkdir()
    refused(command, "empty", *more, mentions=("empty", "card.json"))


@pytest.mark.parametrize(
    "text",
    [
        '{"experiment": "mlp_di',
        "\x00\x80junk",
        "[1, 2]",
        "{}",
        "",
        '{"experiment": "mlp_digits", "config": 3}',
        '{"experiment": "mlp_digits", "config": {"lr": "fast"}, "run": {}}',
        '{"experiment": "gone", "config": {}, "run": {}}',
    ],
)
@pytest.mark.parametrize("command", ["resume", "eval"])
def test_a_damaged_card(command: str, text: str, stopped: Path, refused: Refused) -> None:
    (stopped / "card.json").write_bytes(text.encode("latin-1"))
    refused(command, stopped, mentions=("gone" if "gone" in text else str(stopped),))


def test_a_run_of_another_experiment(stopped: Path, refused: Refused) -> None:
    refused(*TRAIN, "--out", stopped, mentions=("already holds a run", "experiment mine", "--out"))


def test_a_page_that_changed(
    stopped: Path, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    page = stopped.parent / "mine.py"
    page.write_text(page.read_text().replace("dropout: Rate = 0.3", "dropout: Rate = 0.4"))
    said = refused("resume", stopped, mentions=("begun differently", "--accept-changes"))
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
    assert f"differs from when it began: versions jax: 0.1 then, {jax.__version__} now" in said
    assert "differs from when it began: commit: aaaaaaaaaa then, " in said
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
        f"warning: {stopped} had come to step 6, but has no checkpoint left: it begins again at"
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
    assert "CHANGED = True" in refused("resume", stopped, mentions=("begun differently",))


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


def test_words_that_are_too_many_or_missing(stopped: Path, refused: Refused) -> None:
    refused(
        "verify", "MISSING.json", mentions=("there is no card MISSING.json", "experiments/results")
    )
    refused("verify", "missing/run", mentions=("there is no card missing/run",))
    refused("resume", mentions=("name a run",))
    refused("eval", stopped, "more", mentions=("too many words",))
    refused("export", stopped, mentions=("FILE.npz",))
    refused("export", stopped, "last.txt", mentions=("FILE.npz",))
    refused("export", stopped, "--half", "--trust", mentions=("FILE.npz",))
    refused(
        "export",
        stopped,
        "no/such/folder/last.npz",
        mentions=("no/such/folder/last.npz", "name another file"),
    )
