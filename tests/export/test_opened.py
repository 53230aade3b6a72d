"""What is said of a state beside metrics of another one."""

from __future__ import annotations

import pytest

from dlcore.export.opened import _measured


@pytest.mark.quick
@pytest.mark.parametrize(
    ("status", "best", "step"), [("done", 3, 3), ("done", None, 9), ("running", 3, 9)]
)
def test_metrics_of_a_card_are_of_its_best_state_once_it_is_done(
    status: str, best: int | None, step: int
) -> None:
    found = None if best is None else {"step": best, "value": 0.5}
    assert _measured({"status": status, "best": found, "step": 9}) == step
