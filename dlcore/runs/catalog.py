"""Finds and loads experiment files; there is no registry, a file is enough."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from dlcore import files
from dlcore.errors import UsageError
from dlcore.options import DataSource, RunOptions, different_flags
from dlcore.runtime import tracebacks

if TYPE_CHECKING:
    from dlcore.data.splits import Splits
    from dlcore.train.experiment import Config, Experiment

FACTS = "facts.json"  # in a run: the facts of the data from which its model is built
ABOUT = ("Family", "Task", "Data", "Published")  # lines that every experiment file has
OPTIONAL = ("Headline",)


@dataclasses.dataclass(frozen=True)
class Page:
    """A loaded experiment file.

    Attributes:
        name: the file's name, without ".py".
        path: the file.
        source: its text.
        about: first paragraph of its docstring.
        config: its class `Config`.
        presets: {name: config}.
        data: (config, source) -> the splits of its data.
        build: (config, splits) -> the experiment.
        flags: its default run options.
        published: the line "Published" of its docstring; "": none.
    """

    name: str
    path: Path
    source: str
    about: str
    config: type[Config]
    presets: Mapping[str, Config]
    data: Callable[[Config, DataSource], Splits]
    build: Callable[[Config, Splits], Experiment]
    flags: RunOptions
    published: str = ""

    @property
    def description(self) -> str:
        """Returns the text for `--help`: `about`, the published number if any, and each preset.

        The line of a preset has the flags that differ from the default config.
        """
        lines = [self.about]
        if self.published:
            lines.append(f"Published: {self.published}")
        for name, preset in self.presets.items():
            flags = different_flags(preset, self.config())
            lines.append(f"--preset {name}: {flags or 'the default'}")
        return "\n".join(lines)

    def usual(self, words: list[str]) -> Config:
        """Returns the config that a command line starts from: the file's default, or a preset.

        Removes `--preset NAME` from `words` in place. Without it, `--offline` selects the preset
        "offline", where there is one.

        Raises:
            UsageError: there is no such preset, or no name.
        """
        name = "offline" if "--offline" in words and "offline" in self.presets else ""
        for number, word in enumerate(words):
            flag, equals, value = word.partition("=")
            if flag == "--preset":
                name = value if equals else "".join(words[number + 1 : number + 2])
                if not name:
                    names = ", ".join(self.presets) or "none"
                    raise UsageError(f"--preset needs a name; {self.name} has {names}")
                del words[number : number + (1 if equals else 2)]
                break
        if name and name not in self.presets:
            raise UsageError(
                f"{self.name} has no preset {name!r}: it has {', '.join(self.presets) or 'none'}"
            )
        return self.presets[name] if name else self.config()

    @property
    def uses_source(self) -> bool:
        """Whether the file's `data` reads its second parameter; True where `data` is imported."""
        for node in ast.parse(self.source).body:
            if isinstance(node, ast.FunctionDef) and node.name == "data" and node.args.args[1:]:
                name = node.args.args[1].arg
                return any(isinstance(x, ast.Name) and x.id == name for x in ast.walk(node))
        return True

    def experiment(self, config: Config, source: DataSource) -> Experiment:
        """Opens the data and builds the experiment.

        Args:
            config: of the file's class `Config`.
            source: "published", "offline", or the path of --data.

        Raises:
            UsageError: the file rejects config or data, or `data` would ignore the source.
        """
        if source != "published" and not self.uses_source:
            flag = "--offline" if source == "offline" else f"--data {source}"
            raise UsageError(
                f"{flag} would change nothing: data(config, source) of {self.path} does not use"
                " `source`; let it do so, or leave the option out"
            )
        return self._built(lambda: self.build(config, self.data(config, source)))

    def without_data(self, config: Config, run: Path) -> Experiment | None:
        """Builds the experiment of a run from the facts of its data, which are not opened.

        Args:
            config: of the run.
            run: its folder.

        Returns:
            The experiment; None where the run has kept no facts.

        Raises:
            UsageError: the file rejects the config, or the facts are damaged.
        """
        from dlcore.data.facts import Facts
        from dlcore.data.splits import Splits

        kept = run / FACTS
        if not kept.is_file():
            return None
        facts = Facts.from_json(files.read(kept).decode("utf-8", errors="replace"))
        return self._built(lambda: self.build(config, Splits.from_facts(facts)))

    def _built(self, build: Callable[[], Experiment]) -> Experiment:
        hint = f"; dlcore train {word(self.path)} --help shows its flags"
        return tracebacks.rejecting(build, f"{self.name}: ", hint)


def folder() -> Path:
    """Returns `experiments/` of the working directory, or else that of this checkout."""
    here = Path("experiments")
    return here if here.is_dir() else Path(__file__).resolve().parents[2] / "experiments"


def names() -> list[str]:
    """Returns the names of all experiments of `folder()`, sorted."""
    return sorted(path.stem for path in folder().glob("*.py") if not path.stem.startswith("_"))


def find(name: str) -> Path:
    """Finds the file of an experiment: `folder()`/NAME.py, or a path that ends in .py.

    Raises:
        UsageError: there is none; the message offers the nearest name.
    """
    path = Path(name) if name.endswith(".py") else folder() / f"{name}.py"
    if path.is_file():
        return path
    if Path(f"{name}.py").is_file():
        raise UsageError(
            f"there is no experiment {name!r}, but a file {name}.py: name the file, with its ending"
        )
    near = difflib.get_close_matches(Path(name).stem, names(), n=1, cutoff=0.4)
    offer = f"did you mean {near[0]}?" if near else "dlcore list shows them all"
    raise UsageError(
        f"there is no experiment {name!r}; {offer} (a path to a file of your own works too)"
    )


def word(path: Path) -> str:
    """Returns the word by which a command names an experiment file, as `find` takes it.

    It is the name without ".py" for an experiment of `folder()`, and the path for other files.
    """
    ours = path.stem in names() and (folder() / path.name).resolve() == path.resolve()
    return path.stem if ours else str(path)


def recorded(path: Path) -> str:
    """Returns the path by which a card names an experiment file.

    Args:
        path: the file, as `find` returns it.

    Returns:
        The path as it is given for an experiment of `folder()`, the absolute path for other files.
    """
    return str(path if word(path) == path.stem else path.resolve())


def about(path: Path) -> dict[str, str]:
    """Reads an experiment file's description from its docstring, without executing the file.

    Returns:
        "about", "family", "task" and others, see `described`.

    Raises:
        OSError: the file cannot be read.
        UsageError: it is not Python, or not text in its declared encoding.
    """
    text = source(path)
    try:
        return described(text)
    except SyntaxError as error:
        raise UsageError(f"{path} cannot be read as Python: {error}; mend the file") from error


def described(source: str) -> dict[str, str]:
    """Parses the docstring of an experiment file, without executing the file.

    Args:
        source: the text of the experiment file.

    Returns:
        "about", its first paragraph, and "family", "task", "data", "published" and "headline" (the
            metric that represents the experiment in tables, as "test/accuracy"), where it has these
            lines; a value may continue in indented lines.

    Raises:
        SyntaxError: the text is not Python.
    """
    text = ast.get_docstring(ast.parse(source)) or ""
    found = {"about": " ".join(text.split("\n\n")[0].split())}
    name = ""
    for line in text.splitlines():
        word, colon, rest = line.partition(":")
        if colon and word in (*ABOUT, *OPTIONAL):
            name = word.lower()
            found[name] = rest.strip()
        elif name and line.startswith("    "):  # a value continues in indented lines
            found[name] += f" {line.strip()}"
        else:
            name = ""
    return found


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles the text that was checked, and neither reads nor writes a .pyc file."""

    text = ""
    importable = False  # by name in another process: `data.workers` sends its functions as code

    def get_code(self, fullname: str) -> types.CodeType:
        return self.source_to_code(self.text, self.path)  # type: ignore[arg-type]


def source(path: Path) -> str:
    """Reads the text of an experiment file.

    Raises:
        OSError: it cannot be read.
        UsageError: it is not text in its declared encoding.
    """
    try:
        return importlib.util.decode_source(files.read(path))
    except (SyntaxError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be loaded: {error}; mend the file") from error


def load(path: Path, text: str | None = None) -> Page:
    """Executes an experiment file, and takes its `Config`, `data` and `build`.

    `PRESETS` (configs by name; "offline" is the one of `--offline`) and `RUN` (default run options)
    are optional. The module is registered as experiments.NAME, and its folder is put on `sys.path`.

    Args:
        path: the file.
        text: its text, if `source` has read it already.

    Raises:
        OSError: the file cannot be read.
        UsageError: it has a syntax error, or an import fails; Config (with batch and steps), data
            or build is missing; a field of Config has no default. Its other errors are not caught.
    """
    name = f"experiments.{path.stem}"
    loader = _Loader(name, str(path))
    loader.text = source(path) if text is None else text
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up their module
    if (beside := str(path.resolve().parent)) not in sys.path:
        # as `python FILE` does: it may import modules beside it, in `build` too
        sys.path.insert(0, beside)
    try:
        spec.loader.exec_module(module)
    # for other errors `tracebacks` shows the line
    except (SyntaxError, ImportError) as error:
        raise UsageError(
            f"{path} cannot be loaded: {error}; mend the file, or install what it imports"
        ) from error
    config, data, build = _parts(module, path)
    presets, options = getattr(module, "PRESETS", {}), getattr(module, "RUN", None)
    lines = described(loader.text)
    return Page(
        path.stem,
        path,
        loader.text,
        lines["about"],
        config,
        presets,
        data,
        build,
        options or RunOptions(),
        lines.get("published", ""),
    )


Parts = tuple[
    "type[Config]",
    "Callable[[Config, DataSource], Splits]",
    "Callable[[Config, Splits], Experiment]",
]


def _parts(module: types.ModuleType, path: Path) -> Parts:
    """The Config, data and build of a module. UsageError: one is missing, or a default is."""
    config, data, build = (getattr(module, name, None) for name in ("Config", "data", "build"))
    fields: tuple[dataclasses.Field[object], ...] = ()
    if isinstance(config, type) and dataclasses.is_dataclass(config):
        fields = dataclasses.fields(config)
    named = {"batch", "steps"} <= {field.name for field in fields}
    if not callable(build) or not callable(data) or not named:
        raise UsageError(
            f"{path} is not an experiment: it needs data(config, source), build(config, splits) and"
            " a dataclass Config with batch and steps"
        )
    missing = dataclasses.MISSING
    bare = [field.name for field in fields if field.default is field.default_factory is missing]
    if bare:
        raise UsageError(
            f"{path} is not an experiment: its Config needs a default for {', '.join(bare)}"
        )
    return cast(Parts, (config, data, build))
