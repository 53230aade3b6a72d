"""Dataclasses as command-line options."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, TypeVar, cast

from dlcore import bounds
from dlcore.bounds import Dataclass
from dlcore.cli import field_words
from dlcore.errors import UsageError
from dlcore.options import RunOptions, check, flag_names

TITLES = {"config": "experiment", "flags": "run"}  # of the groups that --help shows


D = TypeVar("D", bound=Dataclass)


def parse(
    words: Sequence[str], prog: str, about: str, *, config: D, flags: RunOptions
) -> tuple[D, RunOptions]:
    """Reads an experiment's config and the run options from the command line, and checks them.

    Args:
        words, prog, about: as of `parse_all`.
        config: the experiment's config; its values are the defaults.
        flags: the run options; their values are the defaults.

    Returns:
        The config and the run options of the command line.

    Raises:
        UsageError: as of `options.check`, or the config has a field that is a run option.
        SystemExit: as of `parse_all`.
    """
    found = parse_all(words, prog, about, config=config, flags=flags)
    config, flags = cast(D, found["config"]), cast(RunOptions, found["flags"])
    check(config, flags)
    return config, flags


def parse_all(
    words: Sequence[str], prog: str, about: str, **usual: Dataclass
) -> dict[str, Dataclass]:
    """Reads dataclasses from the command line; their fields are options.

    A field of a nested dataclass has its own name, or its path ("generator.lr") where two names are
    equal. `--help` shows one group of options for each dataclass.

    Args:
        words: the command line.
        prog: the command, for the help text.
        about: the description, for the help text.
        usual: the dataclasses by name; their values are the defaults.

    Returns:
        The dataclasses by name, of the classes that were given.

    Raises:
        UsageError: a number is outside its range, or two dataclasses have the same option.
        SystemExit: an invalid or unknown option (code 2), or `--help` (code 0).
    """
    import tyro

    names = [name for each in usual.values() for name in flag_names(each).values()]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        whose = "Config" if "config" in usual else "predictor"
        raise UsageError(
            f"the {whose} has a field {', '.join(twice)} that is an option already: fields are"
            " options without a prefix, rename it"
        )
    defaults = {name: _described(each) for name, each in usual.items()}
    # the name of a group is none of its flags
    fields = [
        (
            name,
            Annotated[
                type(each), tyro.conf.OmitArgPrefixes, tyro.conf.arg(name=TITLES.get(name, name))
            ],
        )
        for name, each in defaults.items()
    ]
    together = dataclasses.make_dataclass("together", fields, frozen=True)
    parsed = tyro.cli(
        together, args=list(words), prog=prog, default=together(**defaults), description=about
    )
    found = {name: _restored(getattr(parsed, name), each) for name, each in usual.items()}
    for each in found.values():
        bounds.check(each)
    return found


def _described(
    config: Dataclass, path: str = "", names: Mapping[str, str] | None = None, experiment: str = ""
) -> Dataclass:
    """A copy of a dataclass whose fields have help texts, and full names where they are paths.

    Args:
        config: the dataclass.
        path, names, experiment: of the dataclass that it is nested in.
    """
    import tyro

    names = flag_names(config) if names is None else names
    experiment = experiment or type(config).__module__.rpartition(".")[2]
    texts = field_words.words(type(config), experiment)
    hints = bounds.hints_of(config)
    fields: list[tuple[str, object]] = []
    values: dict[str, object] = {}
    for field in dataclasses.fields(config):
        here, value, hint = path + field.name, getattr(config, field.name), hints[field.name]
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            value = _described(value, f"{here}.", names, experiment)
            hint = type(value)
        else:
            name = names[here].replace("_", "-") if "." in names[here] else None
            hint = Annotated[hint, tyro.conf.arg(name=name, help=texts.get(field.name))]
        fields.append((field.name, hint))
        values[field.name] = value
    copy = dataclasses.make_dataclass(type(config).__name__, fields, frozen=True)
    about = type(config).__doc__ or ""
    if not about.startswith(f"{type(config).__name__}("):  # what Python writes where there is none
        copy.__doc__ = about.partition("\n\n")[0]
    return copy(**values)


def _restored(parsed: object, like: D) -> D:
    """The dataclass of the class of `like` with the values of a copy by `_described`."""
    values = {field.name: getattr(parsed, field.name) for field in dataclasses.fields(like)}
    for name, value in values.items():
        if dataclasses.is_dataclass(value):
            values[name] = _restored(value, getattr(like, name))
    return type(like)(**values)
