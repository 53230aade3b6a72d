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
from dlcore.runs import parameter_hash
from dlcore.runs.checkpoint import Checkpoints
from dlcore.train import weights
from tests.child import card, flags_of, tiny, without_times
from tests.runs.test_faults import interrupted

STEPS = ["--steps", "8", "--save-every", "3", "--eval-every", "4"]

pytestmark = pytest.mark.slow


def interrupted_and_whole(name: str, *more: str) -> None:
    """Trains a run in "whole", and one in "run" that is stopped and resumed to the same bits."""
    words = [name, *flags_of(tiny(name)), *STEPS, *more]
    assert cli.main(["train", *words, "--out", "whole"]) == 0
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Checkpoints, "save", interrupted(Checkpoints.save, signal.SIGTERM))
        assert cli.main(["train", *words, "--out", "run"]) == 75
    assert 0 < card(Path("run"))["step"] < 8
    assert cli.main(["resume", "run"]) == 0
    whole, resumed = (card(Path(folder)) for folder in ("whole", "run"))
    assert resumed["params_sha256"] == whole["params_sha256"]
    assert without_times(resumed["results"]) == without_times(whole["results"])


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


@pytest.mark.nightly
def test_it_is_resumed_to_the_same_bits_predicts_and_is_exported(
    capsys: pytest.CaptureFixture[str],
) -> None:
    interrupted_and_whole("bert_sst2")
    whole = card(Path("whole"))
    assert whole["results"]["test"]["trained_parameters"] < 2000 < whole["parameters"]["net"]

    capsys.readouterr()
    assert cli.main(["predict", "run", "--text", "a café 🎬 film", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert answer["text"] == "a café 🎬 film"

    model: Any = dlcore.load("run")
    tuned = model.experiment.predictor.model
    alone = exported(tuned, model.state)
    tokens = np.array([[1, 40, 50, 1, *[0] * 12]], np.int32)
    with_changes = tuned.on(model.state.params, {}, tokens)
    np.testing.assert_allclose(tuned.base.on(alone, {}, tokens), with_changes, atol=1e-5)


def exported(tuned: Any, state: Any) -> Any:
    """Parameters of the model alone, exported and read again; another run loads the same."""
    assert cli.main(["export", "run", "exported.npz"]) == 0
    alone = weights.load(Path("exported.npz"))["params"]
    assert set(alone) == {"net"}
    for others in (weights.load(Path("run"))["params"]["net"], tuned.merged(state.params)):
        jax.tree.map(np.testing.assert_array_equal, alone["net"], others)
    return alone


@pytest.mark.nightly
def test_a_dialogue_model_of_low_rank_is_resumed_answers_and_is_exported(
    capsys: pytest.CaptureFixture[str],
) -> None:
    interrupted_and_whole("chat_dialogues", "--rank", "2")
    whole = card(Path("whole"))
    assert whole["results"]["test"]["trained_parameters"] < whole["parameters"]["net"]
    assert whole["results"]["test"]["perplexity"] > 1

    capsys.readouterr()
    assert cli.main(["predict", "run", "--text", "I would like tea.", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert answer["prompt"] == "I would like tea."

    model: Any = dlcore.load("run")
    tuned = model.experiment.predictor.assistant.merged.__self__
    alone = exported(tuned, model.state)
    tokens = np.arange(40, 56, dtype=np.int32)[None]
    with_changes = tuned.on(model.state.params, {}, tokens)
    np.testing.assert_allclose(tuned.base.on(alone, {}, tokens), with_changes, atol=1e-5)

    words = ["chat_preference", *flags_of(tiny("chat_preference")), "--pretrained", "run"]
    assert cli.main(["train", *words, "--out", "next"]) == 0
    begun = {"net": alone["net"], "reference": alone["net"]}
    assert card(Path("next"))["params_sha256"]["start"] == parameter_hash.sha256(begun)


@pytest.mark.nightly
def test_policies_of_folds_are_resumed_to_the_same_bits_and_the_first_one_answers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    interrupted_and_whole("chat_preference", "--loss", "dpo", "--folds", "2")
    whole = card(Path("whole"))
    assert {*whole["parameters"]} == {"net", "fold_1", "reference"}
    assert {"reward_accuracy", "reference_accuracy_low", "gain_high"} <= {*whole["results"]["test"]}
    capsys.readouterr()
    assert cli.main(["predict", "run", "--text", "I would like tea.", "--json"]) == 0
    assert "text" in json.loads(capsys.readouterr().out.strip().splitlines()[-1])
