"""Fixtures of the tests of the command line: a stopped run, and commands that must be refused."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dlcore.cli import main as cli
from dlcore.runs import catalog, trust
from tests.child import REPOSITORY, card, flags_of, run, tiny

MLP = flags_of(tiny("mlp_digits"))


@pytest.fixture(scope="module")
def half() -> Iterator[Path]:
    """A folder with an experiment file and its run, which was stopped after 6 of 12 steps."""
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
    """A copy of the run of `half`, which a test may change; its experiment file is trusted."""
    shutil.copytree(half, tmp_path, dirs_exist_ok=True)
    trust.remember(tmp_path / "mine.py", catalog.source(tmp_path / "mine.py"))
    record = card(tmp_path / "run") | {"file": str(tmp_path / "mine.py")}
    (tmp_path / "run" / "card.json").write_text(json.dumps(record))
    return tmp_path / "run"


class Refused:
    """Runs commands, and asserts that each is refused: code 2, one message, no file changed."""

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
    """Returns {path: content} of all files and folders (b"") in a folder, without lock files."""
    return {
        str(path): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
        if path.name != "lock" and not path.is_symlink()
    }
