"""A run that trains changes of low rank: stopped and resumed to the same bits, used without data,
and exported as the model itself.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import dlcore
from dlcore.cli import main as cli
from dlcore.runs.checkpoint import Checkpoints
from dlcore.train import weights
from tests.child import card, flags_of, tiny
from tests.runs.test_faults import interrupted

NAME = "bert_sst2"
WORDS = [*flags_of(tiny(NAME)), "--steps", "8", "--save-every", "3", "--eval-every", "4"]

pytestmark = pytest.mark.slow


def test_it_is_resumed_to_the_same_bits_predicts_and_is_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))
    assert cli.main(["train", NAME, *WORDS, "--out", "whole"]) == 0
    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "save", interrupted(Checkpoints.save, signal.SIGTERM))
        assert cli.main(["train", NAME, *WORDS, "--out", "run"]) == 75
    assert 0 < card(Path("run"))["step"] < 8
    assert cli.main(["resume", "run"]) == 0
    whole, resumed = (card(Path(folder)) for folder in ("whole", "run"))
    assert resumed["params_sha256"] == whole["params_sha256"]
    assert resumed["results"] == whole["results"]
    assert whole["results"]["test"]["trained_parameters"] < 2000 < whole["parameters"]["net"]

    capsys.readouterr()
    assert cli.main(["predict", "run", "--text", "a café 🎬 film", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert answer["text"] == "a café 🎬 film"

    model: Any = dlcore.load("run")
    tuned = model.experiment.predictor.model
    weights.save(tuned.merged_state(model.state), Path("merged.npz"))
    alone = weights.load(Path("merged.npz"))["params"]
    assert set(alone) == {"net"}
    tokens = np.array([[1, 40, 50, 1, *[0] * 12]], np.int32)
    with_changes = tuned.on(model.state.params, {}, tokens)
    np.testing.assert_allclose(tuned.base.on(alone, {}, tokens), with_changes, atol=1e-5)
