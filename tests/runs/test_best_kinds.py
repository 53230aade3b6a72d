"""The best state of early stopping, several seeds and generators, and a best that none measures."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest

from dlcore.cli import main as cli
from dlcore.errors import UsageError
from dlcore.runs import catalog
from dlcore.runs import session as runs
from dlcore.runs.catalog import Page
from dlcore.runs.evaluation import evaluate_all, restored
from dlcore.seeds import runs as seeds
from dlcore.train import weights as export
from tests.child import card, logged, tiny
from tests.runs.test_best import CONFIG, DIGITS, FLAGS, noisy_page, replaced, steps_of, trained

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """A page whose last state is not its best."""
    return noisy_page(tmp_path_factory.mktemp("page"))


def test_the_best_checkpoint_outlives_the_last_ones(noisy: Page) -> None:
    """At each evaluation the best of those before it is on the disk, though `keep` is 1 and no
    checkpoint was due.
    """
    assert (
        trained(
            noisy,
            "run",
            dataclasses.replace(FLAGS, save_every=1000, patience=3, eval_every=2),
            steps=300,
        )
        == 0
    )
    run_card, values = (
        card(Path("run")),
        {line["step"]: line["accuracy"] for line in logged(Path("run"), "validation")},
    )
    assert run_card["stopped_early"]
    assert (
        run_card["best"]["value"]
        == max(values.values())
        == run_card["results"]["validation"]["accuracy"]
    )
    assert run_card["best"]["step"] == run_card["stopped_early"] - 6
    assert steps_of(Path("run")) == [run_card["best"]["step"], run_card["stopped_early"]]


@pytest.mark.nightly
@pytest.mark.usefixtures("optimised")
def test_seeds_side_by_side_end_with_the_states_that_each_would_have_alone(noisy: Page) -> None:
    flags = dataclasses.replace(FLAGS, seeds=3, out="runs", eval_every=4)
    assert seeds.train(noisy, CONFIG, flags) == 0
    best = set()
    for seed in range(3):
        alone = dataclasses.replace(
            FLAGS, seed=seed, out=f"alone-{seed}", eval_every=4, parallel="jit", mesh=""
        )
        with pytest.MonkeyPatch.context() as patched:  # one device, as each seed has
            patched.setattr(jax, "devices", lambda *_: jax.local_devices()[:1])
            assert runs.train(noisy, CONFIG, alone) == 0
        ours, want = card(Path(f"runs/seed-{seed}")), card(Path(f"alone-{seed}"))
        assert ours["params_sha256"] == want["params_sha256"]
        assert ours["best"] == want["best"]
        assert ours["results"] == want["results"]
        assert steps_of(Path(f"runs/seed-{seed}")) == steps_of(Path(f"alone-{seed}"))
        best.add(ours["best"]["step"])
    assert len(best) > 1, "each seed has a best step of its own"


def test_a_best_that_nobody_measures_is_refused_before_the_first_step(
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = dataclasses.replace(DIGITS, build=lambda c, splits: replaced(best="validation/f1"))
    for go in (
        lambda: trained(page, "run"),
        lambda: seeds.train(page, CONFIG, dataclasses.replace(FLAGS, seeds=2, out="run")),
    ):
        with pytest.raises(
            UsageError,
            match=r"nothing measures 'f1' on validation.* metrics of that split are accuracy, loss",
        ):
            go()
        assert not Path("run").exists()


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("name", "model"),
    [("gan_fashion_mnist", "gen"), ("flow_mnist", "net")],
)
def test_what_a_generator_draws_and_exports_are_the_averaged_weights(name: str, model: str) -> None:
    page = catalog.load(catalog.find(name))
    assert runs.train(page, tiny(name), dataclasses.replace(FLAGS, out="run", eval_every=3)) == 0
    assert cli.main(["export", "run", "out.npz"]) == 0
    experiment = page.experiment(tiny(name), "offline")
    state = restored(
        experiment, dataclasses.replace(FLAGS, mesh=""), Path("run"), card(Path("run"))
    )
    for got, want in zip(
        jax.tree.leaves(export.load(Path("out.npz"))["params"][model]),
        jax.tree.leaves(state.opt[model].average),
        strict=True,
    ):
        np.testing.assert_array_equal(got, want)
    measured = evaluate_all(experiment, dataclasses.replace(FLAGS, mesh=""), state)
    assert card(Path("run"))["results"]["test"] == pytest.approx(measured["test"], rel=1e-4)
