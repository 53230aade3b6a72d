"""Dataclasses as command-line options."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any, get_type_hints

from dlcore import bounds
from dlcore.errors import UsageError
from dlcore.options import check, flag_names


def parse(words: Sequence[str], prog: str, about: str, **usual: Any) -> dict[str, Any]:
    """Dataclasses from the command line, whose fields are options.

    A field of a nested dataclass has its own name, or its path ("generator.lr") where two names are
    equal. An invalid or unknown option exits with code 2.

    Args:
        words: the command line.
        prog: the command, for the help text.
        about: the description, for the help text.
        usual: the dataclasses with their defaults, by name; `config` and `flags` among them.

    Returns:
        The dataclasses by name.

    Raises:
        UsageError: a value cannot work, or two dataclasses have the same option.
    """
    found = parse_all(words, prog, about, **usual)
    check(found["config"], found["flags"])
    return found


def parse_all(words: Sequence[str], prog: str, about: str, **usual: Any) -> dict[str, Any]:
    """Any dataclasses from the command line, as `parse` reads them; numbers are in their bounds."""
    import tyro

    names = [name for each in usual.values() for name in flag_names(each).values()]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        whose = "Config" if "config" in usual else "predictor"
        raise UsageError(
            f"the {whose} has a field {', '.join(twice)} that is an option already: fields are"
            " options without a prefix, rename it"
        )
    bare = tyro.conf.arg(name="")
    defaults = {name: _prefixed(each) for name, each in usual.items()}
    fields = [(name, Annotated[type(each), bare]) for name, each in defaults.items()]
    together: Any = dataclasses.make_dataclass("together", fields, frozen=True)
    parsed = tyro.cli(
        together, args=list(words), prog=prog, default=together(**defaults), description=about
    )
    found = {name: _restored(getattr(parsed, name), type(each)) for name, each in usual.items()}
    for each in found.values():
        bounds.check(each)
    return found


def _prefixed(config: Any) -> Any:
    """A copy of a dataclass whose nested fields have options without prefix where unique."""
    import tyro

    nested = [
        field.name
        for field in dataclasses.fields(config)
        if dataclasses.is_dataclass(getattr(config, field.name))
    ]
    if not nested:
        return config
    names, hints = flag_names(config), get_type_hints(type(config), include_extras=True)
    clashing = {path.partition(".")[0] for path, name in names.items() if "." in name}
    bare = tyro.conf.arg(name="")
    fields = [
        (
            field.name,
            (
                Annotated[hints[field.name], bare]
                if field.name in nested and field.name not in clashing
                else hints[field.name]
            ),
        )
        for field in dataclasses.fields(config)
    ]
    copy = dataclasses.make_dataclass(type(config).__name__, fields, frozen=True)
    return copy(**{field.name: getattr(config, field.name) for field in dataclasses.fields(config)})


def _restored(parsed: Any, kind: type[Any]) -> Any:
    """The dataclass `kind` with the values of a copy by `_prefixed`."""
    if isinstance(parsed, kind):
        return parsed
    return kind(**{field.name: getattr(parsed, field.name) for field in dataclasses.fields(kind)})
