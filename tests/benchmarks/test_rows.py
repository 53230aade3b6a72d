"""Each row trains the same thing in all its contenders, at a tiny size."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

from tests.benchmarks import compare, rows

ROWS = [module.name for module in pkgutil.iter_modules(rows.__path__)]


@pytest.mark.nightly
@pytest.mark.parametrize("row", ROWS)
def test_the_first_three_losses_agree(row: str) -> None:
    found = compare.losses(row, "TINY")
    assert {"dlcore", "flax"} <= set(found)
    compare.agree(found)


@pytest.mark.quick
@pytest.mark.parametrize("row", ROWS)
def test_every_goal_is_of_a_contender(row: str) -> None:
    module = importlib.import_module(f"tests.benchmarks.rows.{row}")
    assert module.LIMITS
    assert all(hasattr(module, contender) for contender in module.LIMITS)


def test_losses_that_differ_are_refused() -> None:
    with pytest.raises(RuntimeError, match="the losses of dlcore and torch differ"):
        compare.agree({"dlcore": [2.0, 1.0], "torch": [2.0, 1.1]})
