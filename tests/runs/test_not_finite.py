"""Losses and results that are not finite: the run ends, and the message names step and metric."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import jax.monitoring
import numpy as np
import pytest

from dlcore.cli import main as cli
from dlcore.data.source import arrays
from dlcore.runs import card as cards
from dlcore.train.experiment import Experiment
from tests.child import card
from tests.runs.test_best import DIGITS, replaced, trained

EXPLODES = """
'''A network whose steps become infinite.'''
import dataclasses
import jax.numpy as jnp
import optax
from experiments.mlp_digits import Config, PRESETS, build as usual, data

def build(c, splits):
    sgd = optax.sgd(lambda step: jnp.where(step < 9, 0.01, jnp.inf))
    built = usual(c, splits)
    objective = built.objectives["net"]._replace(optimizer=sgd)
    return dataclasses.replace(built, objectives={"net": objective})
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs land in the test's own folder, on the devices that are there already."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


def logged_lines() -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_loss_that_is_no_number_ends_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 70; the message names step, objective and metric; what was saved before is
    finite.
    """
    page = tmp_path / "explodes.py"
    page.write_text(EXPLODES)
    # Step 10 moves the parameters to infinity with a finite loss; a checkpoint is due right then.
    words = [
        "train",
        str(page),
        "--batch",
        "32",
        "--steps",
        "40",
        "--save-every",
        "5",
        "--log-every",
        "4",
        "--out",
        "run",
    ]
    words += ["--eval-every", "5"]
    assert cli.main(words) == 70
    printed = capsys.readouterr()
    said, run_card = printed.err, card(Path("run"))
    assert run_card["status"] == "failed"
    assert printed.out.splitlines()[-1] == "dlcore report run"  # resumed, it would diverge again
    logged = [
        record["net/loss"]
        for record in logged_lines()
        if record["split"] == "train" and record["step"] <= 5
    ]
    for text in (said, run_card["error"]):
        assert "'net'" in text
        assert "step 10:" in text
        assert (
            f"the last finite checkpoint is that of step 5, where net/loss was {logged[-1]:.3g}, in"
            in text
        )
    assert "net/params are not finite" in run_card["error"]
    assert "Traceback" not in said
    assert sorted(path.name for path in Path("run/checkpoints").glob("[0-9]*")) == ["5"]
    assert cli.main(["export", "run", "last.npz"]) == 0
    with np.load("last.npz", allow_pickle=False) as arrays:
        assert all(np.isfinite(arrays[name]).all() for name in arrays.files)


@pytest.mark.slow
def test_a_loss_that_is_no_number_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found when the loss is fetched, where no checkpoint is due before."""
    page = tmp_path / "explodes.py"
    page.write_text(EXPLODES)
    assert (
        cli.main(
            [
                "train",
                str(page),
                "--batch",
                "32",
                "--steps",
                "40",
                "--save-every",
                "9",
                "--log-every",
                "4",
                "--out",
                "run",
            ]
        )
        == 70
    )
    assert "step 11: objective 'net': net/loss is nan" in card(Path("run"))["error"]
    assert "that of step 9" in capsys.readouterr().err


@pytest.mark.slow
def test_the_last_good_checkpoint_is_the_newest_of_several(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "explodes.py"
    page.write_text(EXPLODES)
    words = [
        "train",
        str(page),
        "--batch",
        "32",
        "--steps",
        "40",
        "--save-every",
        "3",
        "--log-every",
        "4",
        "--out",
        "run",
    ]
    assert cli.main(words) == 70
    kept = sorted(int(path.name) for path in Path("run/checkpoints").glob("[0-9]*"))
    assert len(kept) >= 2
    assert kept[-1] == 9
    assert (
        "the last finite checkpoint is that of step 9, where net/loss was "
        in card(Path("run"))["error"]
    )
    assert "that of step 9, where" in capsys.readouterr().err


@pytest.mark.quick
def test_a_number_that_is_none_leaves_a_card_that_is_json(tmp_path: Path) -> None:
    """Data with NaN are refused before the first step; a loss may still overflow on one split
    alone.
    """
    cards.write(
        tmp_path,
        {
            "experiment": "x",
            "results": {"test": {"loss": float("nan"), "accuracy": 0.5}},
            "list": (1.0, float("inf")),
        },
    )
    text = (tmp_path / "card.json").read_text()
    run_card = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert run_card["results"] == {"test": {"loss": None, "accuracy": 0.5}}
    assert run_card["list"] == [1.0, None]


@pytest.mark.slow
def test_a_test_split_whose_loss_overflows_is_named_and_the_run_is_done() -> None:
    def build(c: Any, splits: Any) -> Experiment:
        built = DIGITS.build(c, splits)
        test: Any = splits.test
        images = {
            k: np.full(v.shape, 3e38, np.float32) if k == "image" else v
            for k, v in test.arrays.items()
        }

        def loss(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
            out = built.objectives["net"].loss(params, extra, batch, key, train)
            return out._replace(
                loss=out.loss._replace(
                    total=out.loss.total * jax.numpy.maximum(batch["image"].max(), 1)
                )
            )

        return replaced(
            splits=dataclasses.replace(splits, test=arrays("mine", "1", "test", images)),
            objectives={"net": built.objectives["net"]._replace(loss=loss)},
        )

    with pytest.warns(UserWarning, match="test/loss is not finite"):
        assert trained(dataclasses.replace(DIGITS, build=build), "run", steps=6) == 0
    run_card = json.loads(
        Path("run/card.json").read_text(),
        parse_constant=lambda word: pytest.fail(f"{word} is not JSON"),
    )
    assert run_card["status"] == "done"
    assert run_card["results"]["test"]["loss"] is None
    assert isinstance(run_card["results"]["validation"]["loss"], float)
