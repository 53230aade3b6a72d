"""Every command of the README files is one that parses: its experiment, flags and values are there.

Nothing is trained here; placeholders such as RUN and FOLDER stand for what a reader fills in.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from dlcore.cli import arguments, plan, sweep
from dlcore.cli import main as cli
from dlcore.cli.commands import COMMANDS
from dlcore.runs import catalog
from launch.__main__ import main as launch
from tests.child import REPOSITORY
from tests.test_readmes import PAGES, name

pytestmark = pytest.mark.quick
EXTRAS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"][
    "optional-dependencies"
]


def commands(page: Path) -> list[list[str]]:
    """The words of each command, in blocks and in lines of text."""
    text = page.read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"```bash\n(.*?)```", text, re.S) for line in
             block.splitlines()]  # fmt: skip
    outside = re.sub(r"```.*?```", "", text, flags=re.S)
    lines += re.findall(r"`((?:dlcore|python -m|pip) [^`\n]+)`", outside)
    found = []
    for line in lines:
        words = shlex.split(line, comments=True)
        while "&&" in words:
            found.append(words[: words.index("&&")])
            words = words[words.index("&&") + 1 :]
        found += [words] if words else []
    return found


EVERY = [(page, words) for page in PAGES for words in commands(page)]


def identified(case: object) -> str:
    return name(case) if isinstance(case, Path) else " ".join(case)[:60]  # type: ignore[arg-type]


@pytest.mark.parametrize(("page", "words"), EVERY, ids=identified)
def test_a_command_parses(page: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    match words:
        case ["dlcore", command, *rest]:
            of_dlcore(command, rest, capsys)
        case ["python", "-m", module, *rest]:
            of_module(module, rest)
        case ["pip", "install", "-e", what]:
            extras = re.fullmatch(r"\.(?:\[(.*)\])?", what)
            assert extras
            assert {*filter(None, (extras[1] or "").split(","))} <= {*EXTRAS}
        case ["pytest" | ".ci/run" | "pre-commit", *_]:
            pass
        case _:
            pytest.fail(f"what is {words}?")


def of_dlcore(command: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    if command in ("--help", "--install-completion"):
        return
    assert command in COMMANDS
    if command in ("train", "plan", "sweep") and words:
        of_experiment(command, ["mlp_digits" if words[0] in PLACEHOLDERS else words[0], *words[1:]])
        return
    capsys.readouterr()
    below = words[:1] if (command, *words[:1]) == ("prepare", "text") else []
    assert not code(lambda: cli.main([command, *below, "--help"]))
    known = {*re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out), "--help"}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known


PLACEHOLDERS = ("NAME", "EXPERIMENT", "FILE.py", "my_idea.py")


def code(call: Callable[[], object]) -> object:
    """The exit code of what may end the process, as parsers do."""
    try:
        return call()
    except SystemExit as end:
        return end.code


def of_experiment(command: str, words: list[str]) -> None:
    page = catalog.load(catalog.find(words[0]))
    fields: list[str] = []
    if command == "sweep":
        border = words.index("--") if "--" in words else len(words)
        fields = sweep._parser().parse_args(words[:border]).fields
        words = [words[0], *words[border + 1 :]]
    usual = page.usual(words)
    kinds = {"config": usual, "flags": page.flags}
    if command == "plan":
        kinds["request"] = plan.Request()
    for field in fields or [""]:
        flag, _, values = field.partition("=")
        value = re.split(r",|\.\.", values)[0]  # of several any will do
        given = [*words[1:], *([f"--{flag}", *value.split()] if field else [])]
        parsed = code(lambda given=given: arguments.parse_all(given, command, "", **kinds))
        assert isinstance(parsed, dict) or parsed == 0


def of_module(module: str, words: list[str]) -> None:
    if module != "launch":
        assert importlib.util.find_spec(module)
        return
    started = words[words.index("--") + 1 :]
    of_experiment(started[0], started[1:])
    assert started[0] == "train"
    if words[0] != "local":  # which has nothing to print
        assert launch([words[0], "--dry-run", *words[1:]]) == 0


def test_there_are_commands_in_every_readme() -> None:
    with_commands = {name(page) for page, _ in EVERY}
    assert {"README.md", "launch/README.md", "experiments/README.md"} <= with_commands
    assert len(EVERY) > 40
