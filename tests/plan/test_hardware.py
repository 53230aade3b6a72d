"""GPUs and TPUs that are not there, with their compilers: `.ci/plan` installs these and runs this
file.
"""

from __future__ import annotations

import warnings

import pytest

from dlcore.plan import topologies
from tests.child import experiments
from tests.plan.compiled import compiled
from tests.plan.test_compile import SIZE, gathers_parameters_alone, planned

TOPOLOGIES = ("gpu:h100:1x1", "gpu:h100:1x8", "tpu:v5e:1x1", "tpu:v5e:2x4")
# XLA's compiler for GPUs aborted on vae_mnist where it had no memory bandwidth; the two others
# compile fast. All else is nightly, as are the slower ones on which it aborted, flow_mnist and
# vit_fashion_mnist.
EVERY_RUN = ("vae_mnist", "mlp_digits", "rnn_sst2")

pytestmark = pytest.mark.slow


def need_compiler(*texts: str) -> None:
    """Skip where a topology's compiler is not installed."""
    for kind in sorted({text[:3] for text in texts}):
        if not topologies.compilable(kind):
            pytest.skip(f"the compiler for {kind} is not installed: pip install -e '.[aot]'")


@pytest.mark.parametrize(
    "text", ["tpu:v5e:2x4", "tpu:v5e:1x1", "tpu:v5p:2x2x1", "tpu:v6e:4x4", "gpu:b200:2x4"]
)
def test_every_chip_is_one_device(text: str) -> None:
    need_compiler(text)
    found = topologies.parse(text)
    assert len(topologies.devices(found)) == found.count


@pytest.mark.parametrize(
    ("text", "mesh"),
    [
        ("tpu:v5e:2x4", "data=2,fsdp=4"),
        ("gpu:h100:8", "data=2,fsdp=4"),
        ("gpu:a100:2x4", "fsdp=4,tensor=2"),
    ],
)
def test_hardware_that_is_not_there(text: str, mesh: str) -> None:
    need_compiler(text)
    made, here = planned(mesh, text), planned(mesh)
    assert made.fits
    assert made.flops == here.flops
    assert made.state_bytes == here.state_bytes
    assert made.memory is not None
    assert made.memory.arguments >= made.state_bytes
    kinds = {each.kind for each in made.collectives}
    assert kinds & {"all-reduce", "reduce-scatter"}
    assert all(each.axes for each in made.collectives), "every collective's axes are known"
    assert made.estimate is not None
    assert 0 < made.estimate.efficiency <= 1
    if "fsdp" in mesh:
        gathers_parameters_alone(made)


@pytest.mark.nightly
def test_an_expert_on_each_of_64_chips() -> None:
    """One of each layer: its parameters stay there, and tokens go to it and come back."""
    need_compiler("tpu:v5e:8x8")
    made = planned("fsdp=64", "tpu:v5e:8x8", experts=64, batch=64)
    dense = planned("fsdp=64", "tpu:v5e:8x8", batch=64)
    assert made.fits
    assert made.state_bytes == pytest.approx(12 * made.parameters / 64, rel=0.02)
    sent = [each for each in made.collectives if each.kind == "all-to-all"]
    assert {each.axes for each in sent} == {("fsdp",)}
    assert sum(each.count for each in sent) >= 4 * SIZE.layers
    experts = (made.parameters - dense.parameters) // SIZE.layers  # of one layer
    gathered = [each.bytes for each in made.collectives if each.kind != "all-to-all"]
    assert max(gathered) < 2 * experts, "the experts of a layer are gathered, in bfloat16"


@pytest.mark.parametrize("name", experiments(*EVERY_RUN))
def test_every_step_compiles_for_one_and_for_eight_devices(name: str) -> None:
    need_compiler(*TOPOLOGIES)
    lines = compiled(name, *TOPOLOGIES)
    assert [line["topology"] for line in lines] == list(TOPOLOGIES)
    if lines[0]["preset"] == "offline":
        warnings.warn(
            f"{name}: its data are not prepared, so that its offline preset was compiled",
            stacklevel=1,
        )
    for line in lines:
        assert line["compiled"], line
        assert line["fits"], line
