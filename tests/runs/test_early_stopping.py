"""Early stopping: what counts as better, and that a run stopped and resumed ends where one does
that was not.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import jax
import pytest

from dlcore.cli import main as cli
from dlcore.errors import UsageError
from dlcore.options import RunOptions
from dlcore.runs import catalog
from dlcore.runs import session as runs
from dlcore.runs.early_stopping import Patience, exhausted
from dlcore.runs.loop import PREEMPTED
from dlcore.runtime import processes
from dlcore.train.recipe import Recipe
from tests.child import built, card, logged, tiny

FLAGS = RunOptions(
    offline=True, patience=2, eval_every=5, save_every=7, log_every=5, diagnose="never"
)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


@pytest.mark.quick
@pytest.mark.parametrize(
    ("values", "patience", "lower", "over"),
    [
        ([3, 2, 1], 1, True, False),
        ([3, 2, 2], 1, True, True),  # equal is not better
        ([1, 2, 3], 1, False, False),
        ([0.5, 0.4, 0.6, 0.5, 0.55], 2, False, True),
        ([0.5, 0.4, 0.6, 0.5], 2, False, False),
        ([5, 6, 7, 8], 0, True, False),  # 0 is never
        ([], 1, True, False),
        ([1, math.nan, math.nan], 2, True, True),
        ([math.nan, math.nan, 7], 3, True, False),
    ],
)
def test_patience_counts_from_the_best(
    values: list[float], patience: int, lower: bool, over: bool
) -> None:
    assert exhausted(values, patience, lower) is over


@pytest.mark.quick
def test_a_resumed_run_knows_the_evaluations_up_to_its_checkpoint(tmp_path: Path) -> None:
    lines = [
        '{"step": 5, "split": "validation", "loss": 3.5}',
        '{"step": 5, "split": "train", "loss": 0.1}',
        '{"step": 10, "split": "validation", "loss": null}',
        '{"step": 5, "split": "validation", "bleu": 0.2}',
        '{"step": 15, "split": "validation", "loss": 2.0}',
        '{"step": 20, "split": "vali',
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    found = Patience(3, "-validation/loss", tmp_path, 14).values
    assert found[0] == 3.5
    assert math.isnan(found[1])
    assert len(found) == 2
    assert Patience(3, "-validation/loss", tmp_path, 0).values == []


def trained(
    out: str, flags: RunOptions = FLAGS, lr: float = 0.1, steps: int = 300, **changes: Any
) -> int:
    """Digits at a rate that gets worse after a while."""
    page = catalog.load(catalog.find("mlp_digits"))
    config = dataclasses.replace(
        tiny("mlp_digits"),
        steps=steps,
        recipe=Recipe("adamw", lr=lr, weight_decay=0.05),
        **changes,
    )
    return runs.train(page, config, dataclasses.replace(flags, out=out))


@pytest.mark.nightly
def test_stops_early_and_after_a_resume_at_the_same_step(monkeypatch: pytest.MonkeyPatch) -> None:
    assert trained("whole") == 0
    whole = card(Path("whole"))
    end = whole["stopped_early"]
    assert (whole["status"], whole["step"], whole["steps"]) == ("done", end, 300)
    assert 10 < end < 300
    values = [line["accuracy"] for line in logged(Path("whole"), "validation")]
    assert len(values) == end // 5
    assert max(values[:-2]) >= max(values[-2:])
    assert not any(exhausted(values[:n], 2, lower=False) for n in range(len(values)))
    assert "accuracy" in whole["results"]["test"]
    assert (Path("whole/checkpoints") / str(end)).is_dir()
    assert cli.main(["resume", "whole"]) == 0  # complete: nothing to do
    assert card(Path("whole")) == whole

    # Asked to stop between two evaluations, the last of which were no better; and killed right
    # after the last checkpoint.
    for name, at in (("asked", end - 3), ("late", end)):
        with monkeypatch.context() as patched:
            patched.setattr(processes, "stop_requested", lambda step, received, at=at: step == at)
            assert trained(name) == PREEMPTED
        assert card(Path(name))["status"] == "stopped"
        assert cli.main(["resume", name]) == 0
        ours = card(Path(name))
        for key in ("status", "step", "stopped_early", "results", "best", "params_sha256"):
            assert ours[key] == whole[key], key
        got = {(line["step"], line["accuracy"]) for line in logged(Path(name), "validation")}
        assert got == {
            (line["step"], line["accuracy"]) for line in logged(Path("whole"), "validation")
        }


@pytest.mark.slow
def test_a_run_that_goes_on_getting_better_is_not_stopped() -> None:
    assert trained("run", dataclasses.replace(FLAGS, patience=8), steps=45) == 0  # nine evaluations
    record = card(Path("run"))
    assert (record["status"], record["step"], record["stopped_early"]) == ("done", 45, None)


def test_nothing_to_watch_is_refused_before_the_first_step(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [
        "train",
        "gan_fashion_mnist",
        "--offline",
        "--steps",
        "5",
        "--patience",
        "2",
        "--out",
        "run",
    ]
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert "--patience 2 needs a metric" in said
    assert "the experiment has no `best`" in said
    assert not Path("run").exists()
    experiment = built("mlp_digits")
    with pytest.raises(
        UsageError,
        match=(
            "best='test/accuracy' must be SPLIT/METRIC of a split that is evaluated during training"
        ),
    ):
        runs.check(
            dataclasses.replace(experiment, best="test/accuracy"),
            dataclasses.replace(FLAGS, mesh=""),
        )
