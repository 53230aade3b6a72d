"""Identifiers are the field's own words: none of the names that readers had to guess comes back."""

from __future__ import annotations

import io
import tokenize

import pytest

from tests.child import REPOSITORY

GONE = frozenset(
    [
        "told",
        "untold",
        "foretold",
        "heard",
        "pieces",
        "lane",
        "lanes",
        "judge",
        "forge",
        "forged",
        "caught",
        "game",
        "waiting",
        "came",
        "spent",
        "began",
        "paid",
        "partners",
        "asked",
        "wanted",
        "talk",
        "leap",
        "stretch",
        "stretches",
        "graft",
        "busy",
        "silent",
        "tall",
        "wide",
        "letters",
        "twin",
    ]
)
FILES = sorted(
    p
    for folder in ("dlcore", "experiments", "launch", "tests")
    for p in (REPOSITORY / folder).rglob("*.py")
)


def guessed(text: str) -> set[str]:
    """The names in a file's text that have one of `GONE` as a part between underscores."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    names = {token.string for token in tokens if token.type == tokenize.NAME}
    return {name for name in names if GONE & set(name.lower().split("_"))}


@pytest.mark.quick
def test_a_part_of_a_name_is_found_and_a_string_is_not() -> None:
    assert guessed("was_told = asked('caught') + widest  # wide") == {"was_told", "asked"}


@pytest.mark.slow
@pytest.mark.quick
def test_names_are_the_fields_own() -> None:
    found = {str(p.relative_to(REPOSITORY)): guessed(p.read_text(encoding="utf-8")) for p in FILES}
    assert not {path: names for path, names in found.items() if names}
