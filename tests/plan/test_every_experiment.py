"""Every experiment's step is compiled for GPUs and TPUs that are not there."""

from __future__ import annotations

import warnings

import pytest

from dlcore.plan import topologies
from tests.child import experiments
from tests.plan.compiled import compiled

ONE, EIGHT = ("gpu:h100:1x1", "tpu:v5e:1x1"), ("gpu:h100:1x8", "tpu:v5e:2x4")
HARD = ("flow_mnist", "vae_mnist", "vit_fashion_mnist")  # XLA's compiler for GPUs aborted on these once

pytestmark = pytest.mark.slow


def compiles(name: str, *texts: str) -> None:
    """Every topology gets a program."""
    for kind in sorted({text[:3] for text in texts}):
        if not topologies.compilable(kind):
            pytest.skip(f"the compiler for {kind} is not installed: pip install -e '.[aot]'")
    lines = compiled(name, *texts)
    assert [line["topology"] for line in lines] == list(texts)
    if lines[0]["preset"] == "offline":
        warnings.warn(f"{name}: its data are not prepared, so that its offline preset was compiled", stacklevel=2)
    for line in lines:
        assert line["compiled"], line
        assert line["peak_bytes"] > 0, line


@pytest.mark.parametrize("name", HARD)
def test_a_step_compiles_for_an_h100(name: str) -> None:
    compiles(name, "gpu:h100:1x1")


@pytest.mark.nightly
@pytest.mark.parametrize("name", experiments())
def test_every_step_compiles_for_one_and_eight_gpus_and_tpus(name: str) -> None:
    compiles(name, *ONE, *EIGHT)
