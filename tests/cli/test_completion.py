"""Shell completion: what the Tab key offers, and what its installation writes."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dlcore.cli import completion
from dlcore.cli import main as cli
from dlcore.cli.commands import COMMANDS
from dlcore.cli.predict import PredictOptions
from dlcore.errors import UsageError
from dlcore.runs import catalog, trust
from tests.child import REPOSITORY, environment

pytestmark = pytest.mark.quick


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "DLCORE_CACHE", "ZDOTDIR"):
        monkeypatch.setenv(name, str(tmp_path))


def offered(*words: str) -> list[str]:
    return completion.candidates(words)


def test_commands_then_experiments_then_flags_then_choices() -> None:
    assert offered("") == [*COMMANDS, "--help", "--install-completion"]
    assert offered("pre") == ["predict", "prepare"]
    assert offered("--install-completion", "") == ["bash", "zsh", "fish"]
    assert offered("train", "bert_") == ["bert_clinc", "bert_english", "bert_polarity", "bert_sst2"]
    assert offered("train", "bert_clinc", "--pre") == ["--preset", "--pretrained", "--precision"]
    assert offered("train", "bert_clinc", "--no-pre") == ["--no-pretrained"]
    assert offered("train", "bert_clinc", "--preset", "") == ["offline", "tiny"]
    assert offered("train", "bert_clinc", "--precision", "b") == ["bf16"]
    assert offered("predict", "runs/a", "--t") == ["--text", "--trust", "--top"]
    assert offered("predict", "runs/a", "--b") == ["--batch"]
    assert offered("report", "runs/a", "--o") == ["--out"]
    assert offered("data", "photos", "--t") == ["--target"]
    assert offered("verify", "runs/a", "--t") == ["--trust"]
    # values of any kind, and files, which the shell itself offers
    for words in (("train", "bert_clinc", "--lr", ""), ("predict", ""), ("eval", "ru"), ("no", "")):
        assert not offered(*words)


def test_every_flag_of_an_experiment_is_offered() -> None:
    found = offered("train", "cnn_mnist", "--")
    for each in ("--widths", "--lr", "--weight-decay", "--batch", "--steps", "--out", "--help"):
        assert found.count(each) == 1
    assert offered("train", "cnn_mnist", "--norm", "")[:2] == ["none", "batch"]


def test_every_flag_of_chat_and_of_resume_is_offered(tmp_path: Path) -> None:
    for flag in ("--top-p", "--min-p", "--draft", "--max-tokens", "--no-newline", "--trust"):
        assert offered("chat", "runs/a", "--").count(flag) == 1
    found = offered("resume", str(tmp_path / "none"), "--")
    assert {"--mesh", "--accept-changes", "--trust", "--save-every"} <= {*found}
    assert "--widths" not in found
    (tmp_path / "card.json").write_text('{"experiment": "mlp_digits"}')
    assert "--widths" in offered("resume", str(tmp_path), "--")
    assert offered("resume", str(tmp_path), "--precision", "b") == ["bf16"]
    (tmp_path / "card.json").write_text("[]")
    assert "--widths" not in offered("resume", str(tmp_path), "--")


def test_predict_s_flags_are_offered() -> None:
    names = [each.name for each in dataclasses.fields(PredictOptions) if each.name != "files"]
    assert {f"--{name}" for name in names} | {"--top"} <= {*offered("predict", "runs/a", "--")}


def test_a_file_with_which_nobody_has_trained_is_not_executed(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("raise SystemExit('executed')\n")
    assert "--mesh" in offered("train", str(file), "--")
    assert offered("train", str(tmp_path / "none.py"), "--") == ["--help"]
    shutil.copy(REPOSITORY / "experiments" / "mlp_digits.py", file)
    assert "--widths" not in offered("train", str(file), "--")
    trust.remember(file, catalog.source(file))
    assert "--widths" in offered("train", str(file), "--")


@pytest.mark.slow
def test_the_second_time_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    first = offered("train", "mlp_digits", "--")
    monkeypatch.setattr(catalog, "load", lambda *_: pytest.fail("loaded again"))
    assert offered("train", "mlp_digits", "--") == first
    code = "import sys; from dlcore.cli.main import main; main(); assert 'jax' not in sys.modules"
    words = [sys.executable, "-c", code, "--complete", "train", "mlp_digits", "--wid"]
    found = subprocess.run(
        words, cwd=REPOSITORY, env=environment(), capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["--widths"]


@pytest.mark.parametrize("shell", completion.SCRIPTS)
def test_installing_twice_writes_once(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = tmp_path / f".{shell}rc"
    if shell != "fish":
        start.write_text("alias a=b")
    for _ in range(2):
        assert cli.main(["--install-completion", shell]) == 0
    said = capsys.readouterr().out
    if shell == "fish":
        script = tmp_path / "fish/completions/dlcore.fish"
    else:
        script = tmp_path / f"dlcore/completion.{shell}"
        first, second = start.read_text().splitlines()
        assert first == "alias a=b"
        assert second == f'source "{script}"  # completion of dlcore'
        assert said.count(f"{start} loads it") == 1
    assert script.read_text() == completion.SCRIPTS[shell]
    assert said.count(f"written to {script}") == 2


def test_the_shell_is_that_of_the_user_or_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert completion.install([]) == 0
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    for words in ([], ["tcsh"], ["bash", "zsh"]):
        with pytest.raises(UsageError, match=r"no shell with completion: .* bash\|zsh\|fish"):
            completion.install(words)


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_bash_completes_with_the_script(tmp_path: Path) -> None:
    script = tmp_path / "completion.bash"
    script.write_text(completion.SCRIPTS["bash"])
    command = tmp_path / "dlcore"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dlcore "$@"\n')
    command.chmod(0o755)
    lines = f'source "{script}"; COMP_WORDS=(dlcore train mlp_di); COMP_CWORD=2; _dlcore'
    variables = environment() | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    found = subprocess.run(
        ["bash", "-c", f'{lines}; echo "${{COMPREPLY[@]}}"'],
        cwd=REPOSITORY, env=variables, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.split() == ["mlp_diabetes", "mlp_digits"]
