"""Dataclasses from the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from dlcore import bounds
from dlcore.errors import UsageError
from dlcore.options import check, flag_names


def parse(words: Sequence[str], prog: str, about: str, **usual: Any) -> dict[str, Any]:
    """Dataclasses from the command line, each field of each a flag; `usual` gives their defaults, `config` and `flags` among them.

    An ill-typed or unknown flag ends with exit code 2. UsageError: a number that nothing could be done with.
    """
    import tyro

    names = [name for each in usual.values() for name in flag_names(each)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(
            f"the Config has a field {', '.join(twice)} that is a flag already: fields are flags without a prefix, rename it"
        )
    together: Any = dataclasses.make_dataclass("together", [(name, type(each)) for name, each in usual.items()], frozen=True)
    flat = (tyro.conf.OmitArgPrefixes,)
    parsed: Any = tyro.cli(together, config=flat, args=list(words), prog=prog, default=together(**usual), description=about)
    check(parsed.config, parsed.flags)
    for name in usual:
        bounds.check(getattr(parsed, name))
    return {name: getattr(parsed, name) for name in usual}
