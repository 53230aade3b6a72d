"""The tests of one case stand one after the other: they share its compiled programs, which are
dropped before the next case.
"""

from __future__ import annotations

import pytest

from tests.kernels.case import Case


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Orders the tests that have a `case` by that case, and leaves all others where they are."""
    places = [i for i, item in enumerate(items) if isinstance(_params(item).get("case"), Case)]
    ordered = sorted((items[i] for i in places), key=_name)
    for place, item in zip(places, ordered, strict=True):
        items[place] = item


def _name(item: pytest.Item) -> str:
    """What stands in brackets: the case."""
    return item.name.partition("[")[2]


def _params(item: pytest.Item) -> dict[str, object]:
    return getattr(getattr(item, "callspec", None), "params", {})
