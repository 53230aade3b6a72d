"""A run verifies against its own card; another one is told apart, and why."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from dlcore.errors import UsageError
from dlcore.options import RunOptions
from dlcore.runs import card as cards
from dlcore.runs import catalog, circumstances, loop, verify
from dlcore.runs import session as run
from dlcore.runtime import processes
from tests.child import tiny

pytestmark = pytest.mark.slow

PAGE = catalog.load(catalog.find("mlp_digits"))
CONFIG = dataclasses.replace(tiny("mlp_digits"), steps=12)


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> cards.Card:
    folder = tmp_path_factory.mktemp("run") / "a"
    flags = RunOptions(offline=True, out=str(folder), log_every=10)
    assert run.train(PAGE, CONFIG, flags) == 0
    return cards.read(folder)


def again(card: cards.Card, steps: int) -> int:
    return verify.verify(PAGE, CONFIG, RunOptions(offline=True), card, steps)


def test_the_same_run_has_the_same_hashes(
    card: cards.Card, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(card["marks"]) == {"10"}
    assert again(card, 100) == 0
    out = capsys.readouterr().out
    assert [f"step {step}: the same parameters" in out for step in (0, 10, 12)] == [True] * 3


def test_another_run_is_reported_with_its_drift_and_what_differs(
    card: cards.Card, capsys: pytest.CaptureFixture[str]
) -> None:
    other: dict[str, Any] = json.loads(json.dumps(card))
    other["marks"]["10"] = {"sha256": "0" * 64, "norm": 2 * card["marks"]["10"]["norm"]}
    other["versions"]["jax"] = "0.1"
    assert again(other, 10) == 1
    out = capsys.readouterr().out
    assert "step 0: the same parameters" in out
    assert "step 10: OTHER parameters" in out
    assert "(5.0e-01 of it)" in out
    assert "versions jax: 0.1 then" in out


@pytest.mark.nightly
def test_a_stopped_longer_run_has_no_hash_of_its_earlier_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = RunOptions(offline=True, out=str(tmp_path / "a"), log_every=10)
    assert run.train(PAGE, CONFIG, flags) == 0
    monkeypatch.setattr(processes, "stop_requested", lambda step, received: step == 14)
    longer = dataclasses.replace(CONFIG, steps=24)
    assert (
        run.resume(PAGE, longer, flags, tmp_path / "a", cards.read(tmp_path / "a"), True)
        == loop.PREEMPTED
    )
    assert sorted(verify.hashes(cards.read(tmp_path / "a"))) == [0, 10]


def test_a_card_without_hashes_that_early_is_refused(card: cards.Card) -> None:
    with pytest.raises(
        UsageError, match=r"hashes of the steps 0, 10, 12, and --steps 9 reaches none"
    ):
        again(card, 9)


def test_another_commit_and_other_code_are_named(
    card: cards.Card,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    other: dict[str, Any] = json.loads(json.dumps(card))
    other["marks"]["10"]["sha256"] = "0" * 64
    other["git"] = {"commit": "a" * 40, "clean": True}
    monkeypatch.setattr(circumstances, "git", lambda folder: {"commit": "b" * 40, "clean": True})
    since = "code since commit aaaaaaaaaa: dlcore/models/mlp.py"
    monkeypatch.setattr(
        verify.changes, "code_since", lambda commit, folder: [since] if commit == "a" * 40 else []
    )
    (tmp_path / "experiment.py").write_text(
        PAGE.source.replace("classes=len(splits.facts.classes)", "classes=11") + "# a comment\n"
    )
    assert verify.verify(PAGE, CONFIG, RunOptions(offline=True), other, 10, tmp_path) == 1
    out = capsys.readouterr().out
    assert "  commit: aaaaaaaaaa then, bbbbbbbbbb now\n" in out
    assert f"  {since}\n" in out
    assert "-    net = MLP(c.widths, classes=11, dropout=c.dropout)" in out
    (tmp_path / "experiment.py").write_text(PAGE.source + "# a comment\n")
    assert verify.verify(PAGE, CONFIG, RunOptions(offline=True), card, 10, tmp_path) == 0
    assert "experiment" not in capsys.readouterr().out
