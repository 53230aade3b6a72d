"""The allowed values of a config's fields, declared beside the field.

Example: `dropout: Annotated[float, Range(0, 1, "[)")] = 0.1`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Protocol, get_args, get_origin, get_type_hints

from dlcore.errors import UsageError

INT_MAX = 2**31 - 1  # JAX's integers have 32 bits
FLOAT_MAX = 3.4028234e38  # the largest float32


class Dataclass(Protocol):
    """An instance of any dataclass, such as an experiment's `Config`."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


@dataclasses.dataclass(frozen=True)
class Range:
    """An interval of numbers; `x in range` tests a number.

    Attributes:
        low, high: its ends; infinite by default.
        ends: which ends belong to it: "[)" is low <= x < high; by default both.
    """

    low: float = -math.inf
    high: float = math.inf
    ends: Literal["[]", "[)", "(]", "()"] = "[]"

    def __contains__(self, x: float) -> bool:
        above = x >= self.low if self.ends[0] == "[" else x > self.low
        below = x <= self.high if self.ends[1] == "]" else x < self.high
        return above and below

    def __str__(self) -> str:
        """The interval in words, such as "at least 0 and below 1"."""
        words = []
        if self.low > -math.inf:
            words.append(f"{'at least' if self.ends[0] == '[' else 'above'} {self.low:.15g}")
        if self.high < math.inf:
            words.append(f"{'at most' if self.ends[1] == ']' else 'below'} {self.high:.15g}")
        return " and ".join(words)


# Types of fields that many experiments use.
PositiveInt = Annotated[int, Range(1)]
NonNegativeInt = Annotated[int, Range(0)]
PositiveFloat = Annotated[float, Range(0, ends="()")]
NonNegativeFloat = Annotated[float, Range(0)]
Probability = Annotated[float, Range(0, 1)]
Rate = Annotated[float, Range(0, 1, "[)")]
"""a fraction from 0 to below 1, such as a dropout rate"""


def check(config: Dataclass) -> None:
    """Checks every number of a dataclass, those in tuples and in nested dataclasses included.

    Args:
        config: the dataclass, whose annotations may have a `Range`.

    Raises:
        UsageError: a number is outside its range, not finite, or too large for 32 bits; or an
            annotation names an unknown type.
    """
    for name, value, where in numbers(config):
        check_number(name, value, where)


def check_number(name: str, value: float, where: Range | None = None) -> None:
    """Checks a number of the command line.

    Args:
        name: the field, for the message.
        value: its value.
        where: the allowed range; None: any finite number. An int must also fit into an int32, and a
            float into a float32, except where the upper end of the range is finite and larger: then
            that end is the limit.

    Raises:
        UsageError: the value is outside the range, not finite, or too large for 32 bits.
    """
    flag, where = f"--{name.replace('_', '-')} {value}", where or Range()
    if not math.isfinite(value):
        raise UsageError(
            f"{flag} is not allowed: it must be a finite number{f', {where}' if str(where) else ''}"
        )
    widest = INT_MAX if isinstance(value, int) else FLOAT_MAX
    if where.high < math.inf:
        widest = max(widest, where.high)
    if abs(value) > widest:
        where = Range(max(where.low, -widest), min(where.high, widest), where.ends)
    if value not in where:
        raise UsageError(
            f"{flag} is too {'small' if value <= where.low else 'large'}: it must be {where}"
        )


def numbers(config: Dataclass) -> Iterator[tuple[str, int | float, Range | None]]:
    """Finds every number of a dataclass, those in tuples and in nested dataclasses included.

    Args:
        config: the dataclass.

    Yields:
        (name of the field, number, its range or None); a tuple's numbers have the tuple's name.

    Raises:
        UsageError: an annotation of the dataclass names an unknown type.
    """
    hints = hints_of(config)
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from numbers(value)
        else:
            yield from _of(field.name, value, hints[field.name])


def hints_of(config: Dataclass) -> dict[str, Any]:
    """Returns {field: type} of a dataclass, with the ranges that are annotated.

    Raises:
        UsageError: an annotation names an unknown type.
    """
    try:
        return get_type_hints(type(config), include_extras=True)
    except NameError as error:
        raise UsageError(
            f"the types of {type(config).__qualname__} cannot be read: {error}"
        ) from error


def _of(name: str, value: object, hint: object) -> Iterator[tuple[str, int | float, Range | None]]:
    where = next(
        (each for each in getattr(hint, "__metadata__", ()) if isinstance(each, Range)), None
    )
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if isinstance(value, int | float) and not isinstance(value, bool):
        ranges = [
            each
            for part in get_args(hint)
            for each in getattr(part, "__metadata__", ())
            if isinstance(each, Range)
        ]
        # of `Annotated[int, Range(1)] | None` too
        yield name, value, where or next(iter(ranges), None)
    elif isinstance(value, tuple | list):
        parts = [part for part in get_args(hint) if part is not ...]
        for i, item in enumerate(value):
            yield from _of(name, item, parts[min(i, len(parts) - 1)] if parts else None)
