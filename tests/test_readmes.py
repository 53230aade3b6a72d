"""The README files: links lead somewhere, and commands and experiments that they name are there."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

from dlcore import tasks
from dlcore.cli.commands import COMMANDS
from dlcore.data import prepare
from dlcore.runs import catalog
from tests.child import REPOSITORY

pytestmark = pytest.mark.quick
PAGES = sorted(
    [
        *(REPOSITORY / folder / "README.md" for folder in ("", "experiments", "launch")),
        *(REPOSITORY / "dlcore").rglob("README.md"),
        *(REPOSITORY / "tests").rglob("README.md"),
        REPOSITORY / "CONTRIBUTING.md",
    ]
)
TAKE_EXPERIMENT = ("train", "sweep", "plan")


def name(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = link.partition("#")
        if file.startswith("https://"):
            continue
        target = page.parent / file if file else page
        assert target.exists(), f"{link} is not there"
        if anchor:
            headings = re.findall(r"^#+ (.*)", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [each.lower().replace(" ", "-") for each in headings]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_and_experiment_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL))
    used = re.findall(r"\bdlcore +([a-z]+) +(\S+)", blocks)
    for command, word in used:
        assert command in COMMANDS
        if command in TAKE_EXPERIMENT and not word.endswith(".py"):
            assert word in catalog.names()
    for word in re.findall(r"-- train (\S+)", blocks):
        assert word in catalog.names()


def test_the_readme_is_one_page() -> None:
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_page_of_results_names_every_set_of_our_own() -> None:
    text = (REPOSITORY / "experiments" / "README.md").read_text(encoding="utf-8")
    assert not [name for name in prepare.own_sets() if f"`{name}`" not in text]


def options() -> dict[str, list[str]]:
    """{class of flags of `dlcore predict` in `dlcore.tasks`: its fields}."""
    found = {}
    for module in pkgutil.iter_modules(tasks.__path__, "dlcore.tasks."):
        for name, each in vars(importlib.import_module(module.name)).items():
            if dataclasses.is_dataclass(each) and name.endswith("Options"):
                found[name] = [field.name for field in dataclasses.fields(each)]
    return found


def test_the_page_of_predictions_has_every_flag() -> None:
    text = (REPOSITORY / "dlcore" / "tasks" / "README.md").read_text(encoding="utf-8")
    found = options()
    assert {"DetectionOptions", "PromptOptions", "PreviousOptions", "QuestionOptions"} <= {*found}
    flags = {f"--{field.replace('_', '-')}" for fields in found.values() for field in fields}
    assert not [flag for flag in sorted(flags) if not re.search(rf"`{flag}[` ]", text)]


def test_contributing_is_a_page_and_the_journey_of_a_batch_short() -> None:
    """At most 80 lines, and nine calls in the order of the rooms."""
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 80
    journey = text.partition("## The journey of a batch")[2].partition("\n## ")[0]
    rooms = re.findall(r"^\d+\. `.*?\]\(dlcore/(\w+)", journey, re.MULTILINE)
    assert len(rooms) <= 9
    assert rooms == sorted(rooms, key=["data", "sharding", "train", "tasks", "runs"].index)
