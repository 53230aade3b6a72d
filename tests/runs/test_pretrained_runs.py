"""Runs that begin with another run: with its tuned parameters, and opened again without it."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import jax
import numpy as np
import pytest

import dlcore
from dlcore.cli import main as cli
from dlcore.runs import parameter_hash
from dlcore.runs.checkpoint import Checkpoints
from dlcore.train import tuning, weights
from tests.child import card
from tests.runs.test_faults import interrupted

PAGE = """
'''The next letter of the alphabet, by a run's own parameters and alphabet, or another's.'''
from dataclasses import dataclass
import jax
import numpy as np
from dlcore.data import source as sources, tokenizer
from dlcore.data.characters import characters
from dlcore.data.facts import Facts
from dlcore.models.mlp import MLP
from dlcore.tasks import classification
from dlcore.train import Experiment, Model, Objective, Recipe, Splits, tuning, weights

@dataclass(frozen=True)
class Config:
    pretrained: str = ""
    alphabet: str = "abcdefgh"
    rank: int = 0
    batch: int = 8
    steps: int = 4

def data(c, source):
    used = tokenizer.of_weights(c.pretrained) or characters(c.alphabet)
    letter = np.arange(16, dtype=np.int32) % len(used)
    fields = {"letter": letter, "label": (letter + 1) % len(used)}
    splits = {
        split: sources.arrays("alphabet", "1", split, fields) for split in ("train", "validation")
    }
    return Splits.of(splits, facts=Facts(tokenizer=tokenizer.to_facts(used)))

def build(c, splits):
    size = len(tokenizer.from_facts(splits.facts.tokenizer))
    inputs = lambda batch, key, train: jax.nn.one_hot(batch["letter"], size)
    model = Model("net", MLP((4,), size), inputs)
    tuned = tuning.of_rank(model, splits.template(c.batch), ["kernel"], c.rank)
    return Experiment(
        config=c,
        splits=splits,
        models=tuned.models,
        load=weights.of(c.pretrained, {"net": "net"}),
        objectives={
            tuned.trained: Objective(classification.loss(tuned), Recipe("adam", lr=0.1)(c.steps))
        },
        best="validation/loss",
    )
"""

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))
    Path("alphabet.py").write_text(PAGE)


def trained(*words: str) -> int:
    """Trains the page, without a diagnosis."""
    return cli.main(["train", "alphabet.py", "--diagnose", "never", *words])


@pytest.mark.nightly
def test_what_begins_with_a_run_of_low_rank_and_what_is_exported_is_the_tuned_model() -> None:
    assert trained("--rank", "2", "--out", "tuned") == 0
    assert cli.main(["export", "tuned", "tuned.npz"]) == 0
    exported = weights.load(Path("tuned.npz"))["params"]
    assert set(exported) == {"net"}
    model = dlcore.load("tuned")
    merges = tuning.merges(model.experiment.models)
    assert merges == {"changes": ("net", 2.0)}
    expected = tuning.merged(model.state.params, merges)
    jax.tree.map(np.testing.assert_array_equal, exported, expected)
    untuned, tuned = (each["net"]["Dense_0"]["kernel"] for each in (model.state.params, exported))
    assert np.abs(tuned - untuned).max() > 0.01

    assert trained("--pretrained", "tuned", "--out", "after") == 0
    assert card(Path("after"))["params_sha256"]["start"] == parameter_hash.sha256(exported)


@pytest.mark.nightly
def test_a_run_is_opened_again_in_another_folder_after_its_donor_is_gone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained("--alphabet", "abc", "--out", "donor") == 0
    words = ("--pretrained", "donor", "--steps", "8", "--save-every", "3", "--eval-every", "4")
    assert trained(*words, "--out", "whole") == 0
    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "save", interrupted(Checkpoints.save, signal.SIGTERM))
        assert trained(*words, "--out", "run") == 75
    assert 0 < card(Path("run"))["step"] < 8
    shutil.copytree("run", "empty")
    shutil.rmtree("empty/checkpoints")
    shutil.rmtree("donor")
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")

    assert cli.main(["eval", "../run", "--last"]) == 0
    assert cli.main(["resume", "../run"]) == 0
    whole, resumed = (card(Path("..", folder)) for folder in ("whole", "run"))
    assert resumed["params_sha256"] == whole["params_sha256"]
    assert resumed["results"] == whole["results"]
    assert cli.main(["eval", "../run"]) == 0
    assert cli.main(["resume", "../run", "--steps", "9", "--accept-changes"]) == 0

    capsys.readouterr()
    assert cli.main(["resume", "../empty"]) == 2
    missing = Path("donor").absolute()
    assert f"there is no {missing}, whose parameters 'net' begins with" in capsys.readouterr().err
    assert cli.main(["verify", "../run"]) == 2
    assert "no facts of a tokenizer in donor/facts.json" in capsys.readouterr().err
