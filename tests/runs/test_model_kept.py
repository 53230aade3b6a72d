"""Every way in which a run can be complete leaves the best averaged state as model.safetensors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors import safe_open

import dlcore
from dlcore.cli import main as cli
from dlcore.export import opened
from dlcore.train.model_file import MODEL
from tests.child import card


@pytest.fixture(autouse=True)
def _devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


def metadata(run: Path) -> dict[str, str]:
    with safe_open(run / MODEL, framework="np") as file:
        return dict(file.metadata())


def states(run: Path) -> list[Any]:
    """The state of model.safetensors, and that of the checkpoint in its place."""
    first = opened.opened(opened.described(run))
    shutil.copytree(run, other := run.with_name("without"))
    (other / MODEL).unlink()
    return [first.state, opened.opened(opened.described(other)).state]


@pytest.mark.slow
def test_a_run_that_stops_early_keeps_its_best_state(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"steps": 40, "lr": 1.0, "eval_every": 2, "patience": 2}
    dlcore.run("mlp_digits", preset="tiny", out=tmp_path / "run", **settings)
    found = card(tmp_path / "run")
    assert found["stopped_early"] == found["step"] < 40
    assert found["best"]["step"] < found["step"]
    assert metadata(tmp_path / "run") == {
        "format": "1",
        "step": str(found["best"]["step"]),
        "best": "validation/accuracy",
        "experiment": "mlp_digits",
    }
    kept, checkpoint = states(tmp_path / "run")
    assert int(kept.step) == int(checkpoint.step)
    jax.tree.map(np.testing.assert_array_equal, kept.params, checkpoint.params)


@pytest.mark.nightly
def test_a_resumed_run_replaces_it_and_meanwhile_says_that_it_is_older(tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings: dict[str, Any] = {"eval_every": 1, "log_every": 1}
    dlcore.run("mlp_digits", preset="tiny", out=run, steps=3, **settings)
    first = int(metadata(run)["step"])
    (run / "card.json").write_text(json.dumps(card(run) | {"status": "stopped"}))
    (note,) = opened.opened(opened.described(run)).notes
    assert f"trained further since {MODEL} was written at step {first}" in note
    assert cli.main(["resume", str(run), "--steps", "30", "--accept-changes"]) == 0
    assert int(metadata(run)["step"]) == card(run)["best"]["step"] > first
    assert opened.opened(opened.described(run)).notes == ()


def test_a_model_that_no_run_here_wrote_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / MODEL).write_bytes(b"mine")
    assert cli.main(["train", "mlp_digits", "--preset", "tiny", "--out", str(tmp_path)]) == 2
    assert (tmp_path / MODEL).read_bytes() == b"mine"


@pytest.mark.nightly
def test_averaged_parameters_are_kept_where_there_are_averages(tmp_path: Path) -> None:
    run = tmp_path / "run"
    dlcore.run("gan_mnist", preset="tiny", offline=True, out=run, diagnose="never")
    kept, checkpoint = states(run)
    assert int(kept.step) == 6
    jax.tree.map(np.testing.assert_array_equal, kept.params, checkpoint.params)
    jax.tree.map(np.testing.assert_array_equal, kept.extra, checkpoint.extra)
    assert metadata(run)["best"] == ""
    out = tmp_path / "out"
    assert cli.main(["predict", str(run), "--count", "3", "--label", "7", "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "0000.png",
        "0001.png",
        "0002.png",
        "predictions.jsonl",
    ]
    assert cli.main(["predict", str(run), "--count", "3"]) == 2
