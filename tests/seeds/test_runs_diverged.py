"""Seeds that diverge: a seed that fails is closed as failed, and the others continue."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.child import card, flags_of, run, tiny

pytestmark = pytest.mark.slow


SEEDS, STEPS = 3, 23


SOME_FAIL = """
'''A network that some seeds begin with numbers that are none.'''
import dataclasses
import jax
import jax.numpy as jnp
from dlcore.train.model import Model
from experiments.mlp_digits import Config, PRESETS, build as usual, data

class Broken(Model):
    def init(self, key, batch):
        made = super().init(key, batch)
        factor = jnp.where(jax.random.uniform(key) < 0.5, jnp.nan, 1.0)
        return jax.tree.map(lambda x: x * factor, made)

def build(c, splits):
    built = usual(c, splits)
    (model,) = built.models
    return dataclasses.replace(built, models=[Broken(model.name, model.net, model.inputs)])
"""


@pytest.mark.nightly
def test_a_seed_that_diverges_is_closed_as_failed_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SOME_FAIL)
    short = ["train", "mine.py", *flags_of(tiny("mlp_digits"))]
    code, said = run(*short, "--seeds", "6", "--out", "runs", folder=tmp_path)
    found = {seed: card(tmp_path / "runs" / f"seed-{seed}") for seed in range(6)}
    lost = [seed for seed, each in found.items() if each["status"] == "failed"]
    kept = [seed for seed, each in found.items() if each["status"] == "done"]
    assert (code, len(lost) + len(kept)) == (70, 6), said
    assert lost
    assert kept
    assert f"{len(kept)} done" in said
    assert f"{len(lost)} failed" in said
    for seed in lost:
        assert f"seed {seed}: step 1: objective 'net': net/loss is nan" in said
        assert "step 1: objective 'net': net/loss is nan" in found[seed]["error"]
        assert found[seed]["params_sha256"]["end"] is None
    code, said = run(*short, "--seed", lost[0], "--out", "alone", folder=tmp_path)
    assert code == 70, said
    code, said = run(*short, "--seed", kept[0], "--out", "sound", folder=tmp_path)
    assert code == 0, said
    assert (
        found[kept[0]]["results"]["test"]["accuracy"]
        == card(tmp_path / "sound")["results"]["test"]["accuracy"]
    )


def test_when_no_seed_is_left_the_command_ends(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SOME_FAIL.replace("< 0.5", "< 2.0"))
    code, said = run(
        "train",
        "mine.py",
        *flags_of(tiny("mlp_digits")),
        "--steps",
        "500",
        "--seeds",
        "2",
        "--out",
        "runs",
        folder=tmp_path,
    )
    assert (code, "2 failed of 2 seeds" in said) == (70, True), said
    assert {card(tmp_path / "runs" / f"seed-{seed}")["step"] for seed in (0, 1)} == {0}
