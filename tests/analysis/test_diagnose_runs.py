"""Diagnosis of every experiment, and of runs: what is kept, and when."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jax
import pytest

from dlcore import sharding
from dlcore.analysis.diagnose import Diagnosis, measure
from dlcore.analysis.diagnosis_summary import read
from dlcore.cli import main as cli
from dlcore.data.stream import Stream
from dlcore.options import RunOptions
from dlcore.runs import catalog
from dlcore.runs import session as runs
from dlcore.runs.loop import PREEMPTED
from dlcore.runtime import processes
from dlcore.train.init import initial
from tests.child import DISTINCT, WHOLE_BATCH, built, experiments, tiny


@pytest.mark.slow
@pytest.mark.parametrize("name", experiments(*DISTINCT))
def test_every_experiment_can_be_diagnosed(name: str) -> None:
    """Traced, not compiled: a number for every tensor of every objective."""
    made = built(name)
    layout = sharding.layout("jit", "", devices=jax.devices()[:1])
    batch = layout.put(
        Stream(made.train, made.batch, 0, layout.local_rows(made.batch)).at(0), made.batch
    )
    abstract, _ = initial(made, 0, layout, batch)
    microbatches = 1 if name in WHOLE_BATCH else 2
    found = jax.eval_shape(
        lambda state, batch: measure(made.trained, state, batch, 0, microbatches), abstract, batch
    )
    tensors = {name: len(jax.tree.leaves(abstract.params[name])) for name in made.objectives}
    assert {name: x.shape for name, x in found.items()} == {
        name: (count, 4) for name, count in tensors.items()
    }


@pytest.mark.nightly
def test_a_run_keeps_its_diagnoses_and_trains_as_one_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once an evaluation, of the batch that comes next; none is kept of steps that a resume trains
    again.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))
    page = catalog.load(catalog.find("mlp_digits"))
    config = dataclasses.replace(tiny("mlp_digits"), steps=100)
    flags = RunOptions(
        offline=True, out="whole", eval_every=40, save_every=30, log_every=50, diagnose="always"
    )
    assert runs.train(page, config, flags) == 0
    assert (
        runs.train(page, config, dataclasses.replace(flags, out="without", diagnose="never")) == 0
    )
    hashes = [
        json.loads(Path(out, "card.json").read_text())["params_sha256"]
        for out in ("whole", "without")
    ]
    assert hashes[0] == hashes[1]
    assert not Path("without/diagnostics.jsonl").exists()
    found, damaged = read(Path("whole/diagnostics.jsonl"))
    assert (list(found), list(found["net"]), damaged) == (["net"], [40, 80, 100], 0)
    # Asked to stop after an evaluation; the lines after the checkpoint are forgotten.
    with monkeypatch.context() as patched:
        patched.setattr(processes, "stop_requested", lambda step, received: step == 65)
        assert runs.train(page, config, dataclasses.replace(flags, out="asked")) == PREEMPTED
    with Path("asked/diagnostics.jsonl").open("a") as log:
        log.write('{"step": 80, "objective": "net", "tensors": []}\n{"step": 90, "obj')
    assert cli.main(["resume", "asked"]) == 0
    assert (
        Path("asked/diagnostics.jsonl").read_bytes() == Path("whole/diagnostics.jsonl").read_bytes()
    )


@pytest.mark.slow
def test_a_trial_of_few_steps_is_not_diagnosed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))
    monkeypatch.setattr(Diagnosis, "__call__", lambda *_: pytest.fail("a trial was diagnosed"))
    assert (
        runs.train(
            catalog.load(catalog.find("mlp_digits")),
            tiny("mlp_digits"),
            RunOptions(offline=True, out="run"),
        )
        == 0
    )
