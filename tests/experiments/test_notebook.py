"""The notebook of one's own data: its cells run one after the other, and its model has learned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import pytest

from tests.child import REPOSITORY

NOTEBOOK = json.loads((REPOSITORY / "experiments" / "own_data.ipynb").read_text(encoding="utf-8"))
CODE = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


@pytest.mark.quick
def test_it_has_ten_cells_without_outputs_that_any_jupyter_opens() -> None:
    assert len(CODE) == 10
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    assert not [cell for cell in CODE if cell["outputs"] or cell["execution_count"]]
    names = [cell["id"] for cell in NOTEBOOK["cells"]]
    assert len({*names}) == len(names)
    for cell in NOTEBOOK["cells"]:
        assert all(len(line) <= 100 for line in "".join(cell["source"]).splitlines())


@pytest.mark.usefixtures("optimised")  # the convolutional network of the page, in its full width
@pytest.mark.nightly
def test_its_cells_run_and_its_model_has_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    known: dict[str, Any] = {}
    for number, cell in enumerate(CODE, 1):
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"), known)
    assert known["model"].classes == ["circle", "cross"]
    assert known["right"] >= 18
    assert known["run"].card["results"]["test"]["accuracy"] > 0.8
    assert (known["run"].folder / "report.html").is_file()
    assert "images that can be read: 300" in capsys.readouterr().out
