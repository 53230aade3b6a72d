"""Which checkpoints are kept: the last ones, and the best one."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcore.runs.checkpoint import Checkpoints
from tests.runs.test_checkpoint import state

# Readers that Orbax leaves waiting when a file is damaged complain when they go.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.slow
def test_the_last_ones_and_the_best_one_are_kept(tmp_path: Path) -> None:
    for best, expected in (
        ("", [40, 50]),
        ("test/score", [20, 40, 50]),
        ("-test/score", [30, 40, 50]),
    ):
        folder = tmp_path / (best.replace("/", "_") or "none")
        for steps in ((10, 20, 30), (40, 50)):  # the second time as after a resume
            kept = Checkpoints(folder, keep=2, best=best)
            for step in steps:
                # the last one was not evaluated
                score = {10: 0.5, 20: 0.9, 30: 0.1, 40: 0.6}.get(step)
                kept.save(
                    state(step), step, {"test/score": score, "test/other": step} if score else None
                )
            kept.close()
        assert kept.steps() == expected, best
        assert sorted(int(p.name) for p in folder.iterdir()) == expected


@pytest.mark.slow
def test_what_is_saved_only_for_being_the_best_is_not_one_of_the_last(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, keep=2, best="-a/loss")
    for step, loss, only in (
        (1, None, False),
        (2, 3.0, True),
        (3, None, False),
        (4, 2.0, True),
        (5, 4.0, False),
    ):
        kept.save(state(step), step, None if loss is None else {"a/loss": loss}, only_best=only)
    kept.close()
    assert kept.steps() == [3, 4, 5]
    again = Checkpoints(tmp_path, keep=2, best="-a/loss")  # as after a resume
    assert again.best_step() == 4
    assert not again.is_better({"a/loss": 2.0})  # equal is not better
    assert not again.is_better({"a/loss": float("nan")})
    assert not again.is_better({"a/loss": 1.9}, held={"a/loss": 1.8})
    assert again.is_better({"a/loss": 1.9})
    again.save(state(6), 6, {"a/loss": 1.0}, only_best=True)
    again.save(state(7), 7, {"a/loss": float("nan")})
    again.close()
    assert again.steps() == [5, 6, 7]
