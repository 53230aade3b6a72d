"""A generator of tokens, bound to a model: what it is given, and what has defaults."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from dlcore.tasks import language_modelling

STATE: Any = SimpleNamespace(params={"net": "the parameters"})


def test_length_and_temperature_are_those_of_the_call_or_else_the_bound_ones() -> None:
    calls: list[tuple[Any, ...]] = []
    continued = language_modelling.continuation(
        lambda *words: calls.append(words),  # type: ignore[arg-type, return-value]
        "the size",
        "net",
        30,
        0.8,
        5,
    )
    continued(STATE, "prompt", "key")
    continued(STATE, "prompt", "key", 7)
    continued(STATE, "prompt", "key", 7, 0.0, 1, 0.9)
    begin = ("the size", "the parameters", "prompt", "key")
    assert calls == [(*begin, 30, 0.8, 5), (*begin, 7, 0.8, 5), (*begin, 7, 0.0, 1, 0.9)]
