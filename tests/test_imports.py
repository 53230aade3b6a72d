"""The order of the rooms: a module imports what stands above its room in the list, and nothing
below; rooms form no cycle.

Imports inside functions and under TYPE_CHECKING count.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.child import REPOSITORY

ROOMS = (
    *("errors", "bounds", "files", "options", "samples"),
    *(
        "kernels",
        "data",
        "sharding",
        "models",
        "metrics",
        "train",
        "analysis",
        "tasks",
        "runtime",
        "runs",
        "seeds",
    ),
    *("plan", "export", "report", "cli"),
)
MODELS = ("errors", "kernels", "sharding", "models")  # neither training code nor data
MODULES = {
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((REPOSITORY / "dlcore").rglob("*.py"))
    # the package itself finds `main` on first use
    if path.parent != REPOSITORY / "dlcore" or not path.stem.startswith("__")
}

pytestmark = pytest.mark.quick


def imports(path: Path) -> set[str]:
    """The modules of dlcore that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in names}
            assert not node.level, f"{path}: relative import"
    return {name for name in found if name.startswith("dlcore.")}


def room(module: str) -> str:
    return module.split(".")[1]


@pytest.mark.parametrize("module", MODULES)
def test_no_import_runs_upwards(module: str) -> None:
    assert room(module) in ROOMS, (
        f"give the room {room(module)} its place in ROOMS and in CONTRIBUTING.md"
    )
    below = [
        name
        for name in imports(MODULES[module])
        if ROOMS.index(room(name)) > ROOMS.index(room(module))
    ]
    assert not below, f"{module} imports {below}, which stand below it"
    if room(module) == "models":
        assert {room(name) for name in imports(MODULES[module])} <= set(MODELS)


@pytest.mark.slow
def test_modules_form_no_cycle() -> None:
    """Within a room too."""
    graph = {module: imports(path) & {*MODULES} - {module} for module, path in MODULES.items()}
    finished: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if module not in finished:
            for imported in sorted(graph[module]):
                visit(imported, (*path, module))
            finished.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "experiments").glob("*.py")), ids=lambda path: path.stem
)
def test_no_experiment_imports_the_command_line(path: Path) -> None:
    assert not [name for name in imports(path) if room(name) == "cli"]


@pytest.mark.slow
def test_tests_mirror_the_rooms() -> None:
    """A room's tests lie in a folder of its name."""
    folders = {path.name for path in (REPOSITORY / "tests").iterdir() if path.is_dir()}
    with_code = {
        room(module) for module in MODULES if (REPOSITORY / "dlcore" / room(module)).is_dir()
    }
    assert with_code <= folders, with_code - folders
