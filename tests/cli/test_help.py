"""Help texts and the list of experiments; they need no JAX."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from dlcore.cli import main as cli
from dlcore.runs import catalog
from tests.child import REPOSITORY, environment


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


def python(*words: str, folder: Path, without: str = "") -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in environment().items() if name != without}
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=clean,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.quick
@pytest.mark.parametrize("words", [["--help"], ["list"], ["nonsense"]])
def test_what_needs_no_jax_does_not_wait_for_it(words: list[str], tmp_path: Path) -> None:
    done = python(
        "-c",
        f"import sys; from dlcore.cli.main import main; main({words}); assert 'jax' not in"
        " sys.modules",
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout or done.stderr


# By hand: what the code says of itself proves nothing.
COMMANDS = [
    "train",
    "resume",
    "eval",
    "sample",
    "chat",
    "predict",
    "report",
    "verify",
    "export",
    "list",
    "data",
    "prepare",
    "sweep",
    "plan",
    "doctor",
]


EXPERIMENTS = sorted(
    path.stem
    for path in (REPOSITORY / "experiments").iterdir()
    if re.fullmatch(r"[a-z]\w*\.py", path.name)
)


@pytest.mark.quick
def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--help"], ["-h"], []):
        assert cli.main(words) == 0
        said = capsys.readouterr().out
        assert re.findall(r"^  dlcore (\w+) ", said.replace(":", " "), re.MULTILINE) == COMMANDS
    for command in COMMANDS:
        assert callable(getattr(cli, f"_{command}"))


@pytest.mark.quick
def test_unknown_command_names_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["trian"]) == 2
    said = capsys.readouterr().err
    assert "trian" in said
    assert "train" in said.replace("trian", "")


@pytest.mark.quick
def test_list_shows_every_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list"]) == 0
    firsts = [
        line.partition("  ")[0] for line in re.findall(r"^  (\w.*)", capsys.readouterr().out, re.M)
    ]
    assert sorted(firsts) == EXPERIMENTS
    assert len(EXPERIMENTS) >= 29


@pytest.mark.quick
def test_every_file_of_the_folder_is_an_experiment(tmp_path: Path) -> None:
    assert catalog.names() == EXPERIMENTS
    Path("experiments").mkdir()
    for name in ("zebra.py", "ant.py", "_shared.py", "notes.txt", "__init__.py"):
        Path("experiments", name).touch()
    assert catalog.names() == ["ant", "zebra"]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_help_of_an_experiment_names_its_flags(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["train", name, "--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    for word in (
        "--batch",
        "--steps",
        "--offline",
        "--seed",
        "--out",
        "--mesh",
        "--microbatches",
        "--precision",
    ):
        assert word in said
    for group in ("experiment options", "run options"):
        assert re.search(rf"^\W+{group}\b", said, re.MULTILINE)
    assert "Config(" not in said
    without = [flag for flag, words in described(said).items() if not words]
    assert not without, "fields without a text: dlcore/cli/field_words.py has one for each name"


def described(text: str) -> dict[str, str]:
    """{flag: its help text}, without the default, of the output of `--help`."""
    metavar = r"(?:\{.*?\}(?:\|[A-Z]+)?|\[[A-Z]+ \[.*?\]\]|[A-Z]+)"
    flags = re.compile(rf"  (--[a-z][\w-]*)(?:, --[\w-]+)*(?: {metavar})?(?: +|$)")
    found: dict[str, str] = {}
    for line in text.splitlines():
        inside = line.removesuffix("│").replace("│", " ")
        if flag := flags.match(inside):
            found[flag[1]] = inside[flag.end() :]
        elif found and inside.startswith(" " * 8):
            found[[*found][-1]] += inside
    return {flag: words.partition("(default:")[0].strip() for flag, words in found.items()}
