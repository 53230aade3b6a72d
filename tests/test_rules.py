"""What the pages and the tree promise, read from the files."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlcore.runs import catalog
from tests.child import CACHE, REPOSITORY, environment, flags_of, tiny

PAGES = sorted((REPOSITORY / "experiments").glob("*.py"))
FILES = sorted(
    p
    for folder in ("dlcore", "experiments", "launch", "tests")
    for p in (REPOSITORY / folder).rglob("*.py")
)
MEAN_LINES = 130
MOST_ANY = 150
OURS = [path for path in FILES if path.is_relative_to(REPOSITORY / "dlcore")]


def relative(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def names_in(tree: ast.AST) -> Iterator[str]:
    """Every dotted name that a file mentions, imports resolved: grad of `from jax import grad as g`
    is jax.grad.
    """
    called = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            called |= {alias.asname or alias.name: alias.name for alias in node.names}
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            called |= {
                alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names
            }
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            head, dot, rest = ast.unparse(node).partition(".")
            yield called.get(head, head) + dot + rest


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.quick
@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_an_experiment_is_a_page(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120
    tree = parsed(path)
    used = set(names_in(tree))
    for word in ("grad", "jit", "value_and_grad", "vjp", "pmap", "shard_map", "apply_updates"):
        assert not [
            name for name in used if name in (f"jax.{word}", f"optax.{word}", f"flax.linen.{word}")
        ], word
    loops = [
        node for node in ast.walk(tree) if isinstance(node, ast.For | ast.While | ast.AsyncFor)
    ]
    assert not loops, f"line {loops[0].lineno}: the loop over steps is dlcore/runs/loop.py's"
    about = catalog.about(path)
    assert all(about.get(word.lower()) for word in ("about", *catalog.ABOUT)), (
        f"{path.name} must say {catalog.ABOUT}"
    )
    config = tiny(path.stem)
    page = sys.modules[type(config).__module__]
    assert {type(preset) for preset in page.PRESETS.values()} == {page.Config}
    assert page.Config.__dataclass_params__.frozen
    assert (config.batch, config.steps) == (32, 6)


@pytest.mark.quick
@pytest.mark.parametrize("path", FILES, ids=relative)
def test_files_are_short_and_know_no_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 350
    own = [Path.home(), REPOSITORY]
    assert not [folder for folder in own if str(folder) != "/" and f"{folder}/" in text]
    assert not re.search(r"[\"'](/home|/Users|/root|/mnt|/data|/scratch)/\w", text)


@pytest.mark.quick
def test_a_file_has_few_lines_on_average() -> None:
    lines = [len(path.read_text(encoding="utf-8").splitlines()) for path in FILES]
    assert sum(lines) / len(lines) <= MEAN_LINES


@pytest.mark.quick
@pytest.mark.parametrize("path", FILES, ids=relative)
def test_functions_are_short(path: Path) -> None:
    """At most 60 lines, not counting its docstring and the functions inside it."""
    functions = [
        node
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    long = {node.name: own_lines(node) for node in functions if own_lines(node) > 60}
    assert not long


def own_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function, decorators, docstring and nested functions not counted."""
    skipped = []
    for node in ast.walk(function):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node is not function:
            skipped.append((min([node, *node.decorator_list], key=lambda n: n.lineno), node))
    if ast.get_docstring(function) is not None:
        skipped.append((function.body[0], function.body[0]))
    last = function.end_lineno or function.lineno
    lines = set(range(function.lineno, last + 1))
    for first, end in skipped:
        lines -= set(range(first.lineno, (end.end_lineno or end.lineno) + 1))
    return len(lines)


@pytest.mark.quick
def test_any_is_the_exception_among_types() -> None:
    """Counts the word in annotations and imports, not in prose."""
    names = [
        node
        for path in OURS
        for node in ast.walk(parsed(path))
        if (isinstance(node, ast.Name) and node.id == "Any")
        or (isinstance(node, ast.alias) and node.name == "Any")
    ]
    assert len(names) < MOST_ANY


@pytest.mark.quick
@pytest.mark.parametrize("path", OURS, ids=relative)
def test_each_thing_has_one_place(path: Path) -> None:
    used, where = set(names_in(parsed(path))), relative(path).removeprefix("dlcore/")
    places = {
        "train/step.py": ["jax.grad", "jax.value_and_grad", "optax.apply_updates"],
        "sharding.py": ["jax.sharding.Mesh", "jax.make_mesh"],
        "runtime/processes.py": ["jax.distributed.initialize"],
    }  # fmt: skip
    if where not in ("sharding.py", "train/compile.py", "seeds/placement.py"):
        owned = (
            "pmap",
            "shard_map",
            "device_put",
            "sharding.NamedSharding",
            "sharding.PartitionSpec",
        )
        assert not used & {f"jax.{name}" for name in (*owned, "experimental.shard_map.shard_map")}
    # figures of gradients; nothing is trained there
    if where in ("analysis/features.py", "analysis/saliency.py", "analysis/vanishing.py"):
        used.discard("jax.grad")
    for place, owned in places.items():
        assert place == where or not used & set(owned), (
            f"{sorted(used & set(owned))} belong to dlcore/{place}"
        )
    if where != "runs/loop.py":
        loops = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.For)]
        assert not [
            node
            for node in loops
            if "steps" in ast.unparse(node.iter) and "step_fn" in ast.unparse(node)
        ]


@pytest.mark.quick
@pytest.mark.parametrize(
    "path", [path for path in FILES if path.name != "test_rules.py"], ids=relative
)
def test_nothing_pickles_and_nothing_needs_tensorflow(path: Path) -> None:
    """TensorFlow may prepare data, in a command and a process of its own: no other file names it as
    an import.
    """
    tree = parsed(path)
    used = set(names_in(tree))
    heads = {name.split(".")[0] for name in used}
    modules = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    ]
    modules += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert "tensorflow" not in {module.split(".")[0] for module in modules}
    # the worker processes get their work pickled, by the process that starts them
    if path in OURS and path.name != "workers.py":
        assert not heads & {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
        called = {
            node.func.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not called & {"eval", "exec"}
    for legacy in ("flax.training", "flax.jax_utils", "flax.metrics", "clu"):
        assert not [name for name in used if name == legacy or name.startswith(f"{legacy}.")]


def python(
    program: str, *words: str, folder: Path, **more: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *words]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
def test_importing_everything_leaves_tensorflow_alone(tmp_path: Path) -> None:
    modules = [
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
        for path in OURS
    ]
    program = (
        f"import importlib, sys; [importlib.import_module(m) for m in {modules}]; assert"
        " 'tensorflow' not in sys.modules"
    )
    done = python(program, folder=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.nightly
def test_training_on_prepared_data_leaves_tensorflow_alone(tmp_path: Path) -> None:
    data = REPOSITORY.parent / "shared" / "data" / "tfds"
    if not (data / "fashion_mnist").is_dir():
        pytest.skip(
            f"no prepared fashion_mnist in {data.parent.name}/{data.name}: dlcore prepare"
            " fashion_mnist"
        )
    program = (
        "import sys; from dlcore.cli.main import main; c = main(sys.argv[1:]); assert 'tensorflow'"
        " not in sys.modules; sys.exit(c)"
    )
    words = [
        "train",
        "cnn_fashion_mnist",
        *flags_of(tiny("cnn_fashion_mnist")),
        "--no-offline",
        "--batch",
        "500",
        "--steps",
        "2",
    ]
    decoded = str(CACHE.parent / "decoded-tests")
    done = python(
        program,
        *words,
        "--out",
        "run",
        folder=tmp_path,
        TFDS_DATA_DIR=str(data),
        DLCORE_CACHE=decoded,
    )
    assert done.returncode == 0, done.stderr
    assert "fashion_mnist 3.0.1" in done.stdout


@pytest.mark.quick
def test_every_extra_that_is_named_is_there() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    extras = {*project["project"]["optional-dependencies"]}
    documents = [each for each in REPOSITORY.rglob("*.md") if "node_modules" not in each.parts]
    for path in [*FILES, *documents, REPOSITORY / "pyproject.toml"]:
        if path.name == "test_rules.py":
            continue
        text = path.read_text(encoding="utf-8")
        named = re.findall(r"(?:dlcore|\.)\[([a-z\d]+(?:, ?[a-z\d]+)*)\]['\"`]", text)
        unknown = {name for each in named for name in re.split(", ?", each)} - extras
        assert not unknown, f"{relative(path)} names extras that pyproject.toml has not"


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="needs workers: pytest -n 2")
def test_the_tests_of_a_file_share_a_worker(request: pytest.FixtureRequest) -> None:
    """pytest-xdist ignores groups without a word where it does not know pytest's node identifiers,
    and every worker then traces and compiles the programs of every file.
    """
    assert request.node.nodeid.endswith("@tests/test_rules.py")
