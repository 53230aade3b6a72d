"""A metric that is no mean over examples: a curve, what is best, a reason to stop early, and the
same after a resume.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import jax
import pytest

from dlcore.options import RunOptions
from dlcore.runs import catalog
from dlcore.runs import session as runs
from dlcore.runs.catalog import Page
from dlcore.runs.loop import PREEMPTED
from dlcore.runtime import processes
from dlcore.seeds import runs as seeds
from tests.child import card, logged, tiny

FLAGS = RunOptions(offline=True, eval_every=5, save_every=7, log_every=5, diagnose="never")
PAGE = """
'''Digits, scored by macro-averaged F1, and by a count of the classes that are predicted.'''
import dataclasses
from sklearn.metrics import f1_score
from dlcore.metrics.known import Metric
from dlcore.train.evaluators import Scored
from experiments.mlp_digits import Config, PRESETS, build as usual, data

def build(c, splits):
    built = usual(c, splits)
    (model,) = built.models

    def collect(state, batch):
        logits = model(state.params, state.extra, batch, None, False)[0]
        return {"predicted": logits.argmax(-1), "label": batch["label"]}

    def f1(collected, split):
        score = f1_score(collected["label"], collected["predicted"], average="macro")
        return {"macro_f1": float(score)}

    def classes(collected, split):
        return {"classes": len(set(collected["predicted"].tolist()))}

    sources = {"validation": splits.validation, "test": splits.test}
    held_out = {"validation": splits.validation}
    evaluators = [
        Scored(sources, collect, f1, {"macro_f1": Metric("higher")}),
        Scored(held_out, collect, classes, {"classes": Metric(None)}, every=4),
    ]
    return dataclasses.replace(built, evaluators=evaluators, best="validation/macro_f1")
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The experiment file."""
    path = tmp_path_factory.mktemp("page") / "scored.py"
    path.write_text(PAGE)
    return catalog.load(path)


def trained(page: Page, out: str, **changes: Any) -> int:
    config = dataclasses.replace(tiny("mlp_digits"), steps=20)
    return runs.train(page, config, dataclasses.replace(FLAGS, out=out, **changes))


@pytest.mark.slow
def test_it_is_a_curve_and_best_and_resumes_to_the_same(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trained(page, "whole") == 0
    whole = card(Path("whole"))
    lines = logged(Path("whole"), "validation")
    assert [line["step"] for line in lines if "macro_f1" in line] == [5, 10, 15, 20]
    assert [line["step"] for line in lines if "classes" in line] == [4, 8, 12, 16, 20]
    assert all(("loss" in line) == ("macro_f1" in line) for line in lines), (
        "losses at the regular evaluations alone"
    )
    values = {line["step"]: line["macro_f1"] for line in lines if "macro_f1" in line}
    best = max(values, key=lambda step: values[step])
    assert (whole["best"]["metric"], whole["best"]["better"], whole["best"]["step"]) == (
        "validation/macro_f1",
        "higher",
        best,
    )
    assert whole["results"]["validation"]["macro_f1"] == values[best]
    assert {"macro_f1", "loss", "accuracy"} == whole["results"]["test"].keys()
    assert whole["metrics"]["macro_f1"] == {"better": "higher", "unit": "", "baseline_of": ""}
    with monkeypatch.context() as patched:
        patched.setattr(processes, "stop_requested", lambda step, received: step == 12)
        assert trained(page, "stopped") == PREEMPTED
    shutil.copytree("stopped", "resumed")
    config = dataclasses.replace(tiny("mlp_digits"), steps=20)
    options = dataclasses.replace(FLAGS, out="resumed")
    assert runs.resume(page, config, options, Path("resumed"), card(Path("resumed")), False) == 0
    for key in ("results", "best", "params_sha256"):
        assert card(Path("resumed"))[key] == whole[key], key
    assert logged(Path("resumed"), "validation") == lines


@pytest.mark.slow
def test_it_stops_a_run_early(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a metric that never gets better, `--patience` ends the run after so many regular
    evaluations.
    """
    monkeypatch.setattr("sklearn.metrics.f1_score", lambda *a, **k: 0.5)
    flat = Path("flat.py")
    flat.write_text(PAGE)
    assert trained(catalog.load(flat), "run", patience=2) == 0
    assert card(Path("run"))["stopped_early"] == 15, (
        "best at 5, no better at 10 and 15; evaluations of `classes` do not count"
    )


@pytest.mark.nightly
def test_seeds_in_one_program_score_each_state(page: Page) -> None:
    config = dataclasses.replace(tiny("mlp_digits"), steps=20)
    assert seeds.train(page, config, dataclasses.replace(FLAGS, seeds=2, out="both")) == 0
    for seed in (0, 1):
        assert trained(page, f"alone-{seed}", seed=seed, cpu_devices=1, parallel="jit") == 0
        ours, alone = (
            logged(Path(folder), "validation") for folder in (f"both/seed-{seed}", f"alone-{seed}")
        )
        assert [line["step"] for line in ours] == [line["step"] for line in alone]
        for a, b in zip(ours, alone, strict=True):
            assert {k: pytest.approx(v, abs=1e-4) for k, v in b.items()} == a
