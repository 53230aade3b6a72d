"""Reports of medical images say what their model may not be used for, as their data have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import pytest

from dlcore.cli import main as cli
from dlcore.data.sets import diagnoses, instances


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("name", "notices"), [("cnn_pneumonia", diagnoses), ("segmentation_nuclei", instances)]
)
def test_a_report_shows_the_notice_of_its_data(
    name: str, notices: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))
    words = ["train", name, "--preset", "tiny", "--offline", "--steps", "2", "--out", "run"]
    assert cli.main(words) == 0
    assert cli.main(["report", "run"]) == 0
    page = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert notices.GENERATED_NOTICE in page
    assert notices.NOTICE[:40] not in page
