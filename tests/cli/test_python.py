"""`dlcore.run`: the command line's checks and folders, from Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlcore
from dlcore.errors import UsageError
from dlcore.runs.ending import Diverged
from tests.child import logged


def train(folder: Path, **settings: Any) -> Any:
    return dlcore.run("mlp_digits", preset="tiny", out=folder, **{"log_every": 2, **settings})


@pytest.mark.slow
def test_a_run_has_its_card_curves_and_model(tmp_path: Path) -> None:
    run = train(tmp_path / "run", steps=8, lr=5e-3, widths=(8, 8), dropout=0)
    assert run.folder == tmp_path / "run"
    assert run.card["status"] == "done"
    assert run.card["config"]["recipe"]["lr"] == 5e-3
    assert run.card["config"]["widths"] == [8, 8]
    curve = run.curves["train/net/loss"]
    lines = logged(run.folder, "train")
    np.testing.assert_array_equal(curve.steps, [line["step"] for line in lines])
    np.testing.assert_array_equal(curve.values, [line["net/loss"] for line in lines])
    assert "validation/accuracy" in run.curves
    assert int(run.load(last=True).state.step) == 8


@pytest.mark.slow
def test_without_a_folder_runs_are_numbered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = [dlcore.run("mlp_digits", preset="tiny", steps=1) for _ in range(2)]
    assert [str(each.folder) for each in found] == ["runs/mlp_digits/001", "runs/mlp_digits/002"]  # type: ignore[union-attr]


@pytest.mark.nightly
def test_each_seed_is_a_run_with_its_model(tmp_path: Path) -> None:
    runs = train(tmp_path / "seeds", steps=4, seeds=2)
    assert [run.folder.name for run in runs] == ["seed-0", "seed-1"]
    kernels = [run.load().params["net"]["Dense_0"]["kernel"] for run in runs]
    assert not np.allclose(*kernels)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"step": 3}, "no setting 'step': did you mean steps"),
        ({"steps": 0}, "steps"),
        ({"steps": "many"}, "steps"),
        ({"preset": "huge"}, "no preset 'huge'"),
        ({"offline": True, "data": "/"}, "exclude each other"),
    ],
)
def test_what_the_command_line_refuses_is_refused(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        dlcore.run("mlp_digits", out=tmp_path / "run", **settings)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_folder_that_holds_a_run_and_a_run_that_diverges_raise(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"is nan|is inf|not finite"):
        train(tmp_path / "run", steps=4, lr=1e38)
    with pytest.raises(UsageError, match="already holds a run"):
        train(tmp_path / "run", steps=4)


@pytest.mark.quick
def test_importing_dlcore_imports_neither_jax_nor_numpy() -> None:
    code = "import sys, dlcore; print({'jax', 'numpy', 'tyro'} & {*sys.modules})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        dlcore.nothing  # noqa: B018
