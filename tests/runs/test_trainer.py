"""The loop: compiles once, moves nothing behind one's back, stops at the first number that is none,
keeps its books.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

from dlcore.cli import main as cli
from dlcore.options import RunOptions
from dlcore.runs import catalog
from dlcore.runs import session as runs
from dlcore.runs.program import SingleProgram
from dlcore.runs.trainer import Trainer
from dlcore.train.evaluate import LossEvaluation
from dlcore.train.recipe import Recipe
from tests.child import card, experiments, logged, tiny, without_times
from tests.train import budget

# Experiments that compile in seconds; all others are nightly.
KINDS = ("gan_mnist", "mlp_diabetes", "mlp_digits")

# card.json is an interface: other tools read these names.
KEYS = {
    "experiment",
    "about",
    "file",
    "status",
    "step",
    "steps",
    "started",
    "config",
    "run",
    "git",
    "versions",
    "host",
    "devices",
    "xla_flags",
    "mesh",
    "data",
    "published",
    "seconds",
    "params_sha256",
    "results",
    "parameters",
    "examples_per_second",
    "peak_memory_bytes",
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs land in the test's own folder, on the devices that are there already."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


def trained(name: str, flags: RunOptions) -> int:
    """Train an experiment at its smallest."""
    return runs.train(catalog.load(catalog.find(name)), tiny(name), flags)


@pytest.mark.quick
def test_this_version_has_budgets() -> None:
    """The steps are held to them in
    test_compiles_once_transfers_nothing_unasked_and_resumes_to_the_same_bits.
    """
    if jax.__version__ not in budget.recorded():
        pytest.skip(
            f"no budgets of JAX {jax.__version__}: python -m tests.train.budget records them"
        )
    assert sorted(budget.recorded()[jax.__version__]) == catalog.names()


class Program:
    """A compiled step that costs as much as is said."""

    def __init__(self, **cost: int) -> None:
        self.cost = cost

    def as_text(self) -> str:
        return "HloModule step"

    def cost_analysis(self) -> dict[str, int]:
        return {"flops": self.cost["flops"], "bytes accessed": self.cost["bytes"]}

    def memory_analysis(self) -> Any:
        return SimpleNamespace(
            alias_size_in_bytes=16, temp_size_in_bytes=self.cost["temporary_bytes"]
        )


@pytest.mark.quick
@pytest.mark.parametrize("what", ["flops", "bytes", "temporary_bytes"])
def test_a_step_over_its_budget_is_refused(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    allowed, state = {"flops": 100, "bytes": 100, "temporary_bytes": 100}, np.zeros(4, np.float32)
    monkeypatch.setattr(budget, "recorded", lambda: {jax.__version__: {"mine": allowed}})
    budget.check("mine", Program(**{**allowed, what: 110}), state)
    with pytest.raises(AssertionError, match=f"mine: 111 {what}, 100 were recorded"):
        budget.check("mine", Program(**{**allowed, what: 111}), state)
    with pytest.raises(AssertionError, match="mine: 4 bytes of the state are copied"):
        budget.check("mine", Program(**allowed), np.zeros(5, np.float32))
    with pytest.raises(AssertionError, match="other has no budget yet"):
        budget.check("other", Program(**allowed), state)


def check_card(run_card: dict[str, Any]) -> None:
    """The card of a run of six steps has all keys, and finite results."""
    assert run_card.keys() >= KEYS
    assert run_card["seconds"].keys() == {"compile", "train", "eval", "total"}
    assert run_card["params_sha256"]["start"] != run_card["params_sha256"]["end"]
    assert (run_card["status"], run_card["step"], run_card["steps"]) == ("done", 6, 6)
    for split in run_card["data"].values():
        assert split.keys() == {"name", "version", "split", "fingerprint", "examples"}
    for metrics in run_card["results"].values():
        assert all(np.isfinite(number) for number in metrics.values())


def check_log(run: Path, run_card: dict[str, Any]) -> None:
    """The log has each number once, evaluations at their steps, and the test split at the end."""
    lines = logged(run)
    steps = [line["step"] for line in lines if line["split"] == "train"]
    assert steps == sorted(set(steps))
    assert steps[-1] == 6
    assert [line["split"] for line in lines].count("test") == ("test" in run_card["results"])
    numbers = [
        (line["step"], line["split"], name)
        for line in lines
        for name in line.keys() - {"step", "split"}
    ]
    assert len(numbers) == len(set(numbers)), "each number once"
    validated = {line["step"] for line in lines if line["split"] == "validation"}
    assert validated == ({2, 4, 6} if "validation" in run_card["results"] else set())


@pytest.mark.slow
@pytest.mark.parametrize("name", experiments(*KINDS))
def test_compiles_once_transfers_nothing_unasked_and_resumes_to_the_same_bits(
    name: str, program_count: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is compiled after the first step, evaluation and checkpoint; nothing goes to the
    device but what is put there.
    """
    counts, looked, programs = [], [], []
    save, compile, evaluate = Trainer.save, SingleProgram.compile, LossEvaluation.__call__

    def saved(self: Trainer, step: int) -> None:
        if step == self.experiment.steps:
            # what the end compiles for samples and the like is its own
            counts.append(program_count())
        save(self, step)
        counts.append(program_count())
        if step == 4 and not Path("killed").exists():
            self.runs[0].checkpoints.wait()
            shutil.copytree("run", "killed")  # what a kill -9 at this moment leaves

    def guarded(self: SingleProgram) -> None:
        if programs:
            self.step, self.metric_names, self.indices = programs[0]
        else:
            compile(self)
            programs.append((self.step, self.metric_names, self.indices))
        step = self.step
        budget.check(name, step, self.abstract)

        def run(state: Any, batch: Any) -> Any:
            with jax.transfer_guard("disallow"):
                return step(state, batch)

        self.step = run

    def looking(self: LossEvaluation, state: Any, source: Any) -> dict[str, float]:
        looked.append(source.info.split)
        return evaluate(self, state, source)

    monkeypatch.setattr(Trainer, "save", saved)
    monkeypatch.setattr(SingleProgram, "compile", guarded)
    monkeypatch.setattr(LossEvaluation, "__call__", looking)
    flags = RunOptions(offline=True, out="run", eval_every=2, save_every=2, log_every=1)
    assert trained(name, flags) == 0
    assert counts[0] > 0
    # after steps 2 and 4, before the last evaluation
    assert counts[0] == counts[1] == counts[2], counts
    run_card = card(Path("run"))
    check_card(run_card)
    check_log(Path("run"), run_card)
    assert looked.count("test") <= 1

    # What was killed after step 4 ends with the same bits. (Processes that are really killed:
    # tests/runs/test_resume.py.)
    page, killed = catalog.load(catalog.find(name)), card(Path("killed"))
    assert (killed["status"], killed["step"]) == ("running", 4)
    assert (
        runs.resume(
            page,
            tiny(name),
            dataclasses.replace(flags, out="killed"),
            Path("killed"),
            killed,
            False,
        )
        == 0
    )
    resumed = card(Path("killed"))
    assert (resumed["status"], resumed["resumed"]) == ("done", 1)
    for key in ("params_sha256", "marks"):
        assert resumed[key] == run_card[key], key
    assert without_times(resumed["results"]) == without_times(run_card["results"])
    assert logged(Path("killed")) == logged(Path("run"))


@pytest.mark.slow
def test_a_second_run_into_the_same_folder_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert trained("mlp_digits", RunOptions(offline=True, out="run")) == 0
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    assert cli.main(["train", "mlp_digits", "--out", "run"]) == 2
    said = capsys.readouterr().err
    assert "already holds a run" in said
    assert "dlcore resume run" in said
    assert before == {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", ["shard_map", *(pytest.param(how, marks=pytest.mark.nightly) for how in ("jit", "pmap"))]
)
def test_every_way_through_the_loop(how: Any) -> None:
    """The same results to the last few bits, whatever runs the step."""
    assert (
        trained("mlp_digits", RunOptions(offline=True, out=how, parallel=how, microbatches=2)) == 0
    )
    assert trained("mlp_digits", RunOptions(offline=True, out="plain")) == 0
    got, want = card(Path(how))["results"], card(Path("plain"))["results"]
    for split in want:
        assert got[split] == pytest.approx(want[split], rel=1e-4)


@pytest.mark.slow
def test_bfloat16_trains_and_keeps_float32_parameters() -> None:
    assert trained("mlp_digits", RunOptions(offline=True, out="run", precision="bf16")) == 0
    assert cli.main(["export", "run", "last.npz"]) == 0
    with np.load("last.npz", allow_pickle=False) as arrays:
        assert {arrays[name].dtype for name in arrays.files} == {np.dtype(np.float32)}


@pytest.mark.slow
def test_the_best_checkpoint_is_kept_beside_the_last() -> None:
    name, best = "mlp_digits", {}
    page = catalog.load(catalog.find(name))
    config = dataclasses.replace(
        tiny(name), steps=40, recipe=Recipe("adamw", lr=0.05, weight_decay=0.05)
    )
    assert (
        runs.train(
            page,
            config,
            RunOptions(offline=True, out="run", eval_every=4, save_every=4, log_every=4, keep=1),
        )
        == 0
    )
    for line in logged(Path("run"), "validation"):
        best[line["step"]] = line["accuracy"]
    kept = {int(path.name) for path in Path("run/checkpoints").glob("[0-9]*")}
    assert 40 in kept
    assert max(best[step] for step in kept) == max(best.values())
    assert len(kept) <= 2


@pytest.mark.slow
def test_metrics_are_json_without_nan() -> None:
    assert trained("mlp_digits", RunOptions(offline=True, out="run", log_every=1)) == 0
    for line in Path("run/metrics.jsonl").read_text().splitlines():
        record = json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
        assert record["step"] >= 1
