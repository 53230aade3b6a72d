"""What is other now than when a run began: code is compared, not comments; versions and commits are
named.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from dlcore.runs import changes, circumstances

CODE = '''"""What it is."""
import math


class A:
    """Of a class."""

    x: int = 1
    """a field"""


def f():
    return 2  # two
'''
pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (CODE, True),
        (CODE.replace("# two", "# TWO"), True),
        (CODE.replace("What it is", "What it was"), True),
        (CODE.replace("Of a class", "Of this class"), True),
        (CODE.replace("a field", "one field"), True),
        (CODE.replace("import math\n\n\n", "import math\n"), True),
        (CODE.replace("return 2", "return  2"), True),
        (CODE.replace("return 2", "return 3"), False),
        (CODE.replace("return 2", 'return "2"'), False),
        (CODE.replace("x: int = 1", "x: int = 2"), False),
        (CODE.replace("def f", "def g"), False),
        (CODE.replace("return 2", "return '\u2028'"), False),
        (CODE.replace('    return 2  # two\n', '    """Only a docstring."""\n'), False),
        (CODE + "def broken(:\n", False),
    ],
)  # fmt: skip
def test_code_is_compared_without_comments_docstrings_and_layout(other: str, same: bool) -> None:
    assert changes.same_code(CODE, other) is same
    assert changes.same_code(other, CODE) is same
    assert bool(changes.code_difference(CODE, other, "now")) is not same


def test_a_difference_in_a_line_separator_inside_a_string_is_shown() -> None:
    before, now = (f"x = 'a{each}b'\n" for each in ("\u2028", "\u2029"))
    assert changes.code_difference(before, now, "mine.py")


def test_a_difference_is_shown_as_a_diff() -> None:
    lines = changes.code_difference(CODE, CODE.replace("return 2", "return 3"), "mine.py")
    assert lines[:2] == ["--- as it began", "+++ mine.py"]
    assert "+    return 3  # two" in lines


def git(folder: Path, *words: str) -> str:
    own = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", "-C", str(folder), *own, *words], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit of two files that this process runs."""
    git(tmp_path, "init", "-q")
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(CODE)
        module = ModuleType(f"changed_{name}")
        module.__file__ = str(tmp_path / f"{name}.py")
        monkeypatch.setitem(sys.modules, module.__name__, module)
    (tmp_path / ".gitignore").write_text("ignored/\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


@pytest.mark.slow
def test_files_whose_code_is_another_since_a_commit_are_named(repository: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    assert changes.code_since(first, repository) == []
    (repository / "one.py").write_text(CODE + "# more\n")
    assert changes.code_since(first, repository) == []
    (repository / "two.py").write_text(CODE + "y = 1\n")
    (repository / "not_run.py").write_text(CODE)
    expected = [f"code since commit {first[:10]}: two.py"]
    assert changes.code_since(first, repository) == expected
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "second")
    assert changes.code_since(first, repository) == expected
    assert "git cannot read commit 1111111111" in changes.code_since("1" * 40, repository)[0]
    assert changes.code_since(None, repository) == []


@pytest.mark.slow
def test_a_changed_file_whose_name_is_not_ascii_is_named(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("changed_third")
    module.__file__ = str(repository / "zwölf.py")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    (repository / "zwölf.py").write_text(CODE)
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "second")
    (repository / "zwölf.py").write_text(CODE + "y = 1\n")
    assert changes.code_since("HEAD", repository) == ["code since commit HEAD: zwölf.py"]


def test_commits_are_compared() -> None:
    old, new = ({"git": {"commit": letter * 40, "clean": True}} for letter in "ab")
    assert changes.commit(old, old) == []
    assert changes.commit(old, new) == ["commit: aaaaaaaaaa then, bbbbbbbbbb now"]
    assert changes.commit(old, {"git": {"commit": None, "clean": None}}) == []
    assert changes.commit({"git": {"commit": "a" * 40, "clean": False}}, old) == [
        "uncommitted changes then"
    ]


def test_a_tree_is_clean_beside_exports_sweeps_and_runs(repository: Path) -> None:
    assert circumstances.git(repository) == {
        "commit": git(repository, "rev-parse", "HEAD"),
        "clean": True,
    }
    (repository / "model.npz").write_bytes(b"x")
    run = repository / "sweeps" / "mine" / "001"
    run.mkdir(parents=True)
    (run / "card.json").write_text("{}")
    (run / "experiment.py").write_text(CODE)
    (repository / "ignored").mkdir()
    (repository / "ignored" / "x.py").write_text(CODE)
    assert circumstances.git(repository)["clean"] is True
    assert circumstances.git(repository / "sweeps")["clean"] is True
    (repository / "beside.py").write_text(CODE)
    assert circumstances.git(repository)["clean"] is False
    assert circumstances.git(repository / "sweeps")["clean"] is False
    (repository / "beside.py").unlink()
    (repository / "one.py").write_text(CODE + "# only a comment\n")
    assert circumstances.git(repository)["clean"] is False
    assert circumstances.git(run.parents[3].parent / "nowhere")["clean"] is None
