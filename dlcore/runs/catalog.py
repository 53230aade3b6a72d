"""Where experiment files are, what they say of themselves, and how one is loaded. Nothing is registered: a file is enough."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dlcore import files
from dlcore.errors import UsageError
from dlcore.options import Flags
from dlcore.runtime import tracebacks

ABOUT = ("Family", "Task", "Data", "Published")


@dataclasses.dataclass(frozen=True)
class Page:
    """An experiment file, loaded."""

    name: str
    path: Path
    source: str
    about: str
    config: type[Any]
    offline: Any
    build: Callable[[Any], Any]
    flags: Flags


def folder() -> Path:
    """The folder of experiments: `experiments/` here, or else the one of this checkout."""
    here = Path("experiments")
    return here if here.is_dir() else Path(__file__).resolve().parents[2] / "experiments"


def names() -> list[str]:
    """Every experiment."""
    return sorted(path.stem for path in folder().glob("*.py") if not path.stem.startswith("_"))


def find(name: str) -> Path:
    """The file of an experiment, given its name or a path. Raises UsageError that offers the nearest name."""
    path = Path(name) if name.endswith(".py") else folder() / f"{name}.py"
    if path.is_file():
        return path
    if Path(f"{name}.py").is_file():
        raise UsageError(f"there is no experiment {name!r}, but a file {name}.py: name the file, with its ending")
    near = difflib.get_close_matches(Path(name).stem, names(), n=1, cutoff=0.4)
    offer = f"did you mean {near[0]}?" if near else "dlcore list shows them all"
    raise UsageError(f"there is no experiment {name!r}; {offer} (a path to a file of your own works too)")


def word(path: Path) -> str:
    """What names an experiment file on the command line: the name of one of ours, the path of any other."""
    ours = path.stem in names() and (folder() / path.name).resolve() == path.resolve()
    return path.stem if ours else str(path)


def recorded(path: Path) -> str:
    """How a card names an experiment file: one's own by its whole path, so that it is found from any folder."""
    return str(path if word(path) == path.stem else path.resolve())


def about(path: Path) -> dict[str, str]:
    """The docstring's first paragraph and its `Family:`, `Task:`, `Data:`, `Published:` lines, read without running the file."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    told = {"about": " ".join(text.split("\n\n")[0].split())}
    for paragraph in text.splitlines():
        word, colon, rest = paragraph.partition(":")
        if colon and word in ABOUT:
            told[word.lower()] = rest.strip()
    return told


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles the text that was read and checked: never a .pyc beside the file, which may be of any other text."""

    text = ""

    def get_code(self, fullname: str) -> types.CodeType:
        return self.source_to_code(self.text, self.path)  # type: ignore[arg-type]


def source(path: Path) -> str:
    """The text of an experiment file. Raises OSError, and UsageError where it is no text."""
    try:
        return importlib.util.decode_source(files.read(path))
    except (SyntaxError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be loaded: {error}; mend the file") from error


def load(path: Path, text: str | None = None) -> Page:
    """Run an experiment file and take its `Config` and `build`; and if it has them `FLAGS`, its own defaults of the common flags, and
    `OFFLINE`, the config that `--offline` begins with where the usual one is long. `text`: what `source` gave of it before.

    Raises UsageError where Config or build is missing.
    """
    name = f"experiments.{path.stem}"
    loader = _Loader(name, str(path))
    loader.text = source(path) if text is None else text
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    if (beside := str(path.resolve().parent)) not in sys.path:
        sys.path.insert(0, beside)  # as for `python FILE`: it may import what lies beside it, in `build` too
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, ImportError) as error:  # of what else a file does wrong, `tracebacks` shows the line
        raise UsageError(f"{path} cannot be loaded: {error}; mend the file, or install what it imports") from error
    config, build = _parts(module, path)

    def built(config: Any) -> Any:
        try:
            return build(config)
        except ValueError as error:
            if not tracebacks.deliberate(error):  # a broadcast of NumPy's, say: its lines are needed
                raise
            raise UsageError(f"{path.stem}: {error}; dlcore train {word(path)} --help shows its flags") from error

    usual, offline = (getattr(module, name, None) for name in ("FLAGS", "OFFLINE"))
    return Page(
        path.stem, path, loader.text, about(path)["about"], config, offline or config(offline=True), built, usual or Flags()
    )


def _parts(module: types.ModuleType, path: Path) -> tuple[Any, Any]:
    """The Config and the build of an experiment file. Raises UsageError where one is missing, or a field has no default."""
    config: Any = getattr(module, "Config", None)
    build: Any = getattr(module, "build", None)
    fields = (
        {f.name for f in dataclasses.fields(config)} if isinstance(config, type) and dataclasses.is_dataclass(config) else set()
    )
    if not callable(build) or not {"batch", "steps", "offline"} <= fields:
        raise UsageError(
            f"{path} is not an experiment: it needs build(config) and a dataclass Config with batch, steps and offline"
        )

    bare = [f.name for f in dataclasses.fields(config) if f.default is f.default_factory is dataclasses.MISSING]
    if bare:
        raise UsageError(f"{path} is not an experiment: its Config needs a default for {', '.join(bare)}")
    return config, build
