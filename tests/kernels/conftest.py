"""Runs the tests of each case consecutively.

They share the case's compiled programs, which are dropped before the next case.
"""

from __future__ import annotations

import pytest

from tests.kernels.case import Case


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts the tests that have a parameter `case` by it; all others keep their positions."""
    places = [i for i, item in enumerate(items) if isinstance(_params(item).get("case"), Case)]
    ordered = sorted((items[i] for i in places), key=_name)
    for place, item in zip(places, ordered, strict=True):
        items[place] = item


def _name(item: pytest.Item) -> str:
    """The name of the case, which is in brackets in the test's name."""
    return item.name.partition("[")[2]


def _params(item: pytest.Item) -> dict[str, object]:
    return getattr(getattr(item, "callspec", None), "params", {})
