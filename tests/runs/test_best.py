"""The best state: found at any evaluation, kept, and what test evaluation, samples, eval and export
use.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from dlcore.cli import main as cli
from dlcore.options import RunOptions
from dlcore.runs import card as cards
from dlcore.runs import catalog, sample_files
from dlcore.runs import session as runs
from dlcore.runs.catalog import Page
from dlcore.runs.checkpoint import Checkpoints
from dlcore.runs.evaluation import evaluate_all, restored
from dlcore.runs.loop import PREEMPTED
from dlcore.runs.parameter_hash import sha256
from dlcore.runtime import processes
from dlcore.train import weights as export
from dlcore.train.experiment import Experiment
from dlcore.train.recipe import Recipe
from dlcore.train.step import State
from tests.child import card, logged, tiny

pytestmark = pytest.mark.slow

# Evaluations and checkpoints fall on different steps: 40 = 8 * 5, and 12, 24, 36.
FLAGS = RunOptions(offline=True, eval_every=5, save_every=12, log_every=5, keep=1, diagnose="never")
DIGITS = catalog.load(catalog.find("mlp_digits"))
CONFIG = dataclasses.replace(
    tiny("mlp_digits"), steps=40, recipe=Recipe("adamw", lr=0.02, weight_decay=0.05)
)
PAGE = """
'''Digits at a rate that rises too high: the last state is not the best; with averaged weights.'''
import dataclasses
import jax.numpy as jnp
from dlcore.train import optim
from experiments.mlp_digits import Config, PRESETS, build as usual, data

def build(c, splits):
    built = usual(c, splits)
    rate = lambda step: jnp.where(step < 22, c.recipe.lr, 20 * c.recipe.lr)
    noisy = built.objectives["net"]._replace(optimizer=optim.make("adam", rate, ema=0.2))
    return dataclasses.replace(built, objectives={"net": noisy})
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


def trained(page: Page, out: str, flags: RunOptions = FLAGS, **changes: Any) -> int:
    """Train a page's smallest config."""
    return runs.train(
        page, dataclasses.replace(CONFIG, **changes), dataclasses.replace(flags, out=out)
    )


def noisy_page(folder: Path) -> Page:
    """A page whose last state is not its best."""
    (folder / "noisy.py").write_text(PAGE)
    return catalog.load(folder / "noisy.py")


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """A page whose last state is not its best."""
    return noisy_page(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def whole(noisy: Page, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))
        assert trained(noisy, str(folder)) == 0
    return folder


def steps_of(folder: Path) -> list[int]:
    """The steps of the checkpoints that are there."""
    return sorted(int(path.name) for path in (folder / "checkpoints").glob("[0-9]*"))


def best_and_last(noisy: Page, whole: Path) -> tuple[Experiment, State, State]:
    """The experiment of the complete run, with its best and its last state."""
    experiment, flags = noisy.experiment(CONFIG, "offline"), dataclasses.replace(FLAGS, mesh="")
    best, last = (
        restored(experiment, flags, whole, cards.read(whole), last=last) for last in (False, True)
    )
    return experiment, best, last


def test_results_are_of_the_best_state_and_the_hash_is_of_the_last(
    noisy: Page, whole: Path
) -> None:
    run_card, lines = card(whole), logged(whole, "validation")
    best = max(lines, key=lambda line: line["accuracy"])  # the first of equals
    assert best["step"] not in (12, 24, 36, 40), "no regular checkpoint has the best state"
    assert run_card["best"] == {
        "metric": "validation/accuracy",
        "better": "higher",
        "step": best["step"],
        "value": best["accuracy"],
    }
    assert steps_of(whole) == sorted({best["step"], 40})
    assert run_card["results"]["validation"] == {name: best[name] for name in ("accuracy", "loss")}
    (test,) = logged(whole, "test")
    assert test["step"] == best["step"]
    assert [line["step"] for line in lines] == list(range(5, 41, 5))

    # The same numbers by hand, of the checkpoint of that step; other ones of the last.
    experiment, state, last = best_and_last(noisy, whole)
    flags = dataclasses.replace(FLAGS, mesh="")
    assert (int(state.step), int(last.step)) == (best["step"], 40)
    assert evaluate_all(experiment, flags, state)["test"] == pytest.approx(
        run_card["results"]["test"], rel=1e-5
    )
    assert evaluate_all(experiment, flags, last)["test"] != pytest.approx(
        run_card["results"]["test"], rel=1e-3
    )
    raw = Checkpoints(whole / "checkpoints").manager.restore(40)["state"]["params"]
    # of what was trained
    assert run_card["params_sha256"]["end"] == sha256(raw) != sha256(last.params)
    for averaged_, kept in ((state, state.opt["net"].average), (last, last.opt["net"].average)):
        assert sha256(averaged_.params) == sha256({"net": kept})


def test_commands_use_the_best_state_and_with_last_the_last(
    noisy: Page, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment, state, last = best_and_last(noisy, whole)
    capsys.readouterr()
    assert cli.main(["eval", str(whole)]) == 0
    assert f"at step {int(state.step)}" in capsys.readouterr().out
    assert cli.main(["eval", str(whole), "--last"]) == 0
    assert "at step 40" in capsys.readouterr().out
    assert (
        cli.main(["export", str(whole), "best.npz"])
        == cli.main(["export", str(whole), "last.npz", "--last"])
        == 0
    )
    for file, expected in (("best.npz", state), ("last.npz", last)):
        exported = export.load(Path(file))["params"]
        for got, want in zip(
            jax.tree.leaves(exported), jax.tree.leaves(expected.params), strict=True
        ):
            np.testing.assert_array_equal(got, want)
    # What the run drew at its end is what that state draws.
    drawn = sample_files.load(whole / "samples")
    (redrawn,) = (experiment.draw(state, jax.random.key(0)),)
    sample_files.save(Path("again"), redrawn)
    assert json.dumps(sample_files.load(Path("again"))) == json.dumps(drawn)
    # `dlcore sample` draws the best state, and with --last the last one.
    copy = shutil.copytree(whole, Path("copy"))
    assert cli.main(["sample", str(copy)]) == 0
    assert json.dumps(sample_files.load(copy / "samples")) == json.dumps(drawn)
    assert cli.main(["sample", str(copy), "--last"]) == 0
    sample_files.save(Path("latest"), experiment.draw(last, jax.random.key(0)))
    latest = json.dumps(sample_files.load(Path("latest")))
    assert json.dumps(sample_files.load(copy / "samples")) == latest != json.dumps(drawn)


@pytest.mark.parametrize(
    "stops", [(3, 17), *(pytest.param((n,), marks=pytest.mark.nightly) for n in (15, 39, 40))]
)
def test_stopped_and_resumed_it_finds_the_same_best_state(
    noisy: Page, whole: Path, stops: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for i, at in enumerate(stops):
        with monkeypatch.context() as patched:
            patched.setattr(processes, "stop_requested", lambda step, received, at=at: step == at)
            assert (trained(noisy, "run") if i == 0 else cli.main(["resume", "run"])) == PREEMPTED
    assert cli.main(["resume", "run"]) == 0
    ours, want = card(Path("run")), card(whole)
    for key in ("status", "step", "results", "best", "params_sha256"):
        assert ours[key] == want[key], key
    without_speed = lambda folder: [  # noqa: E731
        {k: v for k, v in line.items() if k != "examples_per_second"}
        for line in logged(folder)
        if line["split"] != "train"
    ]
    assert without_speed(Path("run")) == without_speed(whole)


def test_killed_between_the_last_evaluation_and_the_end_no_line_stands_twice(
    noisy: Page, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As kill -9 leaves it: the checkpoint is complete, the lines are written, and the card says
    "running".
    """

    class Killed(BaseException):
        pass

    def killed(*_: Any) -> None:
        raise Killed

    for resumed in (False, True):  # and once more while it is resumed
        go = (
            functools.partial(cli.main, ["resume", "run"])
            if resumed
            else functools.partial(trained, noisy, "run")
        )
        with monkeypatch.context() as patched:
            patched.setattr(sample_files, "save", killed)
            with pytest.raises(Killed):
                go()
    assert cli.main(["resume", "run"]) == 0
    keys = [(line["step"], line["split"]) for line in logged(Path("run"))]
    assert len(keys) == len(set(keys))
    assert card(Path("run"))["results"] == card(whole)["results"]


@pytest.mark.nightly
def test_diagnostics_do_not_stand_twice_either(
    noisy: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = dataclasses.replace(
        FLAGS, diagnose="always", eval_every=50, save_every=50, log_every=50
    )
    with monkeypatch.context() as patched:
        patched.setattr(processes, "stop_requested", lambda step, received: step == 100)
        assert trained(noisy, "run", flags, steps=100) == PREEMPTED
    assert cli.main(["resume", "run"]) == 0
    lines = [json.loads(line) for line in Path("run/diagnostics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [50, 100]


def test_a_damaged_best_checkpoint_is_replaced_by_the_newest_with_a_warning(
    noisy: Page, whole: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    damaged = (
        folder / "checkpoints" / str(card(whole)["best"]["step"]) / "default" / "manifest.ocdbt"
    )
    damaged.write_bytes(damaged.read_bytes()[:20])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        state = restored(
            noisy.experiment(CONFIG, "offline"),
            dataclasses.replace(FLAGS, mesh=""),
            folder,
            card(folder),
        )
    assert int(state.step) == 40
    assert any("the best checkpoint, that of step" in str(each.message) for each in said)


def replaced(**changes: Any) -> Experiment:
    """Digits, with other words about them."""
    return dataclasses.replace(DIGITS.experiment(tiny("mlp_digits"), "offline"), **changes)
