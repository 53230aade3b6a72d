"""Facts of a data set besides its examples: classes, shapes, a vocabulary."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from dlcore.errors import UsageError
from dlcore.files import Json

Values = Mapping[str, object] | Iterable[tuple[str, object]]


class Facts(Mapping[str, Any]):
    """A read-only mapping of plain JSON values, with access as attributes too: `facts.classes`.

    Values are str, int, float, bool, None, and lists and dicts of them. NumPy scalars become
    numbers and tuples become lists. Access to a missing name raises UsageError with the existing
    names.

    Args:
        values: by name.
        more: further values, by keyword; they replace those of `values` with the same name.

    Raises:
        UsageError: a value that is not plain JSON or a float that is not finite, or a name that is
            no string or the name of a method.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Values = (), /, **more: object):
        plain = {name: _plain(name, value) for name, value in {**dict(values), **more}.items()}
        if invalid := [name for name in plain if not isinstance(name, str) or hasattr(Facts, name)]:
            raise UsageError(f"a fact cannot have the name {invalid[0]!r}: choose another")
        object.__setattr__(self, "_values", plain)

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            there = ", ".join(sorted(self._values)) or "nothing"
            raise UsageError(f"the facts of these data have no {name!r}: they have {there}")
        return self._values[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # protocols of Python, such as copying, look these up
            raise AttributeError(name)
        return self[name]

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"facts cannot be changed: make new ones with {name!r}")

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return dict(self) == dict(other) if isinstance(other, Mapping) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Facts({self._values!r})"

    def __reduce__(self) -> tuple[type[Facts], tuple[dict[str, Json]]]:
        return Facts, (self._values,)

    def get(self, name: str, default: Any = None) -> Any:
        """Returns the value of a name, or `default`."""
        return self._values.get(name, default)

    def with_facts(self, **more: object) -> Facts:
        """Returns these facts and more; a new value replaces an old one of the same name."""
        return Facts({**self._values, **more})

    def to_json(self) -> str:
        """Returns one JSON object, which `from_json` reads."""
        return json.dumps(self._values, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Facts:
        """Reads what `to_json` wrote.

        Raises:
            UsageError: `text` is not a JSON object.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise UsageError(
                f"these facts are not JSON ({error}): read a file that a run wrote"
            ) from error
        if not isinstance(values, dict):
            raise UsageError(f"facts are a JSON object, not {type(values).__name__}")
        return cls(values)


def _plain(name: str, value: object) -> Json:
    """The value as JSON returns it. UsageError, with the value's name: it is not plain JSON."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UsageError(
                f"fact {name!r} is {value}, which JSON does not have: give a finite number"
            )
        return value
    if isinstance(value, list | tuple):
        return [_plain(f"{name}[{i}]", each) for i, each in enumerate(value)]
    if isinstance(value, Mapping):
        if invalid := [key for key in value if not isinstance(key, str)]:
            raise UsageError(f"fact {name!r} has the key {invalid[0]!r}: keys must be strings")
        return {key: _plain(f"{name}.{key}", each) for key, each in value.items()}
    way_out = (
        "give array.tolist()"
        if hasattr(value, "tolist")
        else "give strings, numbers, lists or dicts"
    )
    raise UsageError(f"fact {name!r} is of type {type(value).__name__}, not plain JSON: {way_out}")
