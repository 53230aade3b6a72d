"""Plans on simulated devices, against hand counts and against the memory that a process really
took.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import subprocess
import sys
from typing import Any
from unittest import mock

import jax
import pytest

from dlcore.errors import UsageError
from dlcore.models import gpt_sizes
from dlcore.models.gpt import Size
from dlcore.options import RunOptions
from dlcore.plan import compile, hlo, search, topologies
from dlcore.plan.compile import Plan, own_size
from dlcore.runs import catalog
from dlcore.train import weights
from tests.child import REPOSITORY, built, environment

# Numbers that differ, so that a shape tells what it is of.
SIZE = Size(512, 28, 3, 4, 64, rotary=True, norm="rms", mlp="swiglu")
ROWS = 16
MESHES = [
    pytest.param("data=2,fsdp=4", marks=pytest.mark.nightly),
    pytest.param("fsdp=8", marks=pytest.mark.nightly),
    "fsdp=4,tensor=2",
]


def large(**changes: Any) -> Any:
    """The page of large models with a small one."""
    page = catalog.load(catalog.find("gpt_large"))
    config = dataclasses.replace(
        page.presets["tiny"], **({"batch": ROWS, "dropout": 0.0} | changes)
    )
    with mock.patch.dict(gpt_sizes.SIZES, tiny=SIZE):
        return page.experiment(config, "offline")


@functools.cache
def planned(mesh: str, text: str = "cpu:8", microbatches: int = 1, **changes: Any) -> Plan:
    topology = topologies.parse(text)
    flags = RunOptions(offline=True, mesh=mesh, microbatches=microbatches)
    return compile.plan(large(**changes), flags, topology, topologies.devices(topology), keep=True)


def gathers_parameters_alone(made: Plan) -> None:
    """No device is sent what is another's rows', and what is summed over devices with rows of their
    own is a gradient.
    """
    gathers = [each for each in made.collectives if each.kind == "all-gather"]
    assert gathers
    arrays = [
        hlo.size(array) for each in gathers for array in re.findall(r"\w+\[[\d,]*\]", each.shape)
    ]
    assert max(arrays) <= 4 * SIZE.vocabulary * SIZE.width, (
        "something larger than any parameter is gathered"
    )
    rows = [ROWS // n for n in (1, made.mesh["data"] * made.mesh["fsdp"])]
    of_rows = [f"[{n},{SIZE.context}" for n in rows] + [f"[{n * SIZE.context}," for n in rows]
    for each in made.collectives:
        activations = any(start in each.shape for start in of_rows)
        assert not (each.kind == "all-gather" and activations), f"activations are gathered: {each}"
        assert not (each.kind == "all-reduce" and activations and "tensor" not in each.axes), (
            f"activations are summed: {each}"
        )
        # Queries, keys and values are one matrix: cut over `tensor`, their heads change places
        # there.
        assert each.kind != "collective-permute" or each.axes == ("tensor",), (
            f"rows change places: {each}"
        )


@pytest.mark.slow
@pytest.mark.parametrize("mesh", MESHES)
def test_a_split_gpt_gathers_parameters_and_no_activations(mesh: str) -> None:
    made = planned(mesh)
    gathers_parameters_alone(made)
    layers = [
        each.count
        for each in made.collectives
        if each.kind == "all-gather" and "while" in each.source
    ]
    assert set(layers) == {SIZE.layers}


@pytest.mark.slow
@pytest.mark.parametrize("mesh", MESHES)
def test_no_part_of_the_optimizer_is_replicated(mesh: str) -> None:
    made, whole = planned(mesh), planned("data=8")
    parts = made.mesh["fsdp"] * made.mesh["tensor"]
    assert whole.state_bytes == pytest.approx(12 * whole.parameters, rel=0.001)
    assert made.state_bytes == pytest.approx(whole.state_bytes / parts, rel=0.01)
    assert made.memory is not None
    assert made.memory.arguments < whole.state_bytes / parts + 20_000


@pytest.mark.nightly
@pytest.mark.parametrize("mesh", ["fsdp=8", "data=2,fsdp=2,tensor=2"])
def test_experts_stay_on_their_devices_and_tokens_go_to_them(mesh: str) -> None:
    """With an all-to-all there and back, in both passes; only what is no expert is gathered."""
    made = planned(mesh, experts=8)
    dense = planned(mesh)
    assert made.parameters > dense.parameters
    everything = [each for each in made.collectives if each.kind == "all-to-all"]
    # those of attention divide gradients of heads over `tensor`, without experts as well
    sent = [each for each in everything if "/experts/" in each.source]
    assert len(everything) - len(sent) == len(
        [e for e in dense.collectives if e.kind == "all-to-all"]
    )
    assert {each.axes for each in sent} == {("fsdp",)}
    assert sum(each.count for each in sent) >= 4 * SIZE.layers

    def gathered(made: Plan) -> float:
        return sum(
            each.count * each.bytes for each in made.collectives if each.kind == "all-gather"
        )

    assert gathered(made) < gathered(dense), "an expert is gathered"
    assert made.state_bytes < 1.02 * 12 * made.parameters / (made.mesh["fsdp"])


@pytest.mark.nightly
def test_a_loop_over_layers_takes_what_separate_layers_take() -> None:
    scanned, single = planned("fsdp=8"), planned("fsdp=8", scan=False)
    assert scanned.parameters == single.parameters
    assert scanned.flops == single.flops
    gathered = [
        sum(c.count * c.bytes for c in made.collectives if c.kind == "all-gather")
        for made in (scanned, single)
    ]
    assert gathered[0] == pytest.approx(gathered[1], rel=0.4)
    assert scanned.bytes == pytest.approx(single.bytes, rel=0.5)


@pytest.mark.nightly
def test_microbatches_take_less_memory_and_the_same_work() -> None:
    # Rows enough that their activations are more than the sum of gradients, which microbatches
    # need.
    one, four = (planned("data=4,fsdp=2", batch=128, microbatches=n) for n in (1, 4))
    assert four.memory is not None
    assert one.memory is not None
    assert four.memory.temporary < one.memory.temporary
    assert four.flops == pytest.approx(one.flops, rel=0.01)


@pytest.mark.slow
def test_what_does_not_fit_is_said_not_to_fit() -> None:
    topology = topologies.parse("cpu:8")
    small = dataclasses.replace(
        topology, hardware=dataclasses.replace(topology.hardware, memory=2**20)
    )
    made = compile.plan(
        large(), RunOptions(offline=True, mesh="data=8"), small, topologies.devices(small)
    )
    assert (made.fits, made.memory, made.needs) == (
        False,
        None,
        made.state_bytes,
    )  # the state alone is too large: nothing is compiled
    middle = dataclasses.replace(
        topology, hardware=dataclasses.replace(topology.hardware, memory=2.5 * 2**20)
    )
    compiled = compile.plan(
        large(), RunOptions(offline=True, mesh="data=8"), middle, topologies.devices(middle)
    )
    assert not compiled.fits
    assert compiled.needs > compiled.state_bytes


@pytest.mark.parametrize(
    ("experiment", "changes"),
    [
        ("gpt_tiny_shakespeare", ["batch=64"]),
        ("cnn_fashion_mnist", ["batch=1024"]),
        ("autoencoder_mnist", ["batch=8192"]),
    ],
)
@pytest.mark.nightly
def test_the_forecast_of_memory_is_what_a_process_takes(
    experiment: str, changes: list[str]
) -> None:
    words = [sys.executable, "-m", "tests.plan.measure", experiment, *changes]
    done = subprocess.run(
        words,
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["measured"] == pytest.approx(found["forecast"], rel=0.2)


@pytest.mark.quick
def test_what_a_tpus_compiler_refused_is_read() -> None:
    message = (
        "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 32.00G of 15.75G hbm."
        " Exceeded hbm capacity by 16.25G."
    )
    assert compile.refused(message) == 32 * 2**30
    array = (
        "RESOURCE_EXHAUSTED: Allocation (size=68719476736) would exceed memory (size=17179869184)"
        " :: %s1 = f32[131072,131072]"
    )
    assert compile.refused(array) == 4 * 131072**2
    assert compile.refused("Attempting to allocate 78.82G exceeds available HBM (15.75G)") == int(
        78.82 * 2**30
    )
    assert compile.refused("no room") == 0
    assert compile.refused("Used 20.00M of 16.00M vmem") == 0


@pytest.mark.quick
def test_a_batch_that_does_not_divide_is_planned_with_fewer_rows() -> None:
    assert own_size(64, 16, 1) == ("", "")
    mesh, word = own_size(100, 16, 1)
    assert mesh == "data=4,tensor=4"
    assert "--batch 96" in word
    assert own_size(100, 16, 2)[0] == "data=2,tensor=8"


def test_meshes_and_weights_that_do_not_fit_are_refused(devices: list[jax.Device]) -> None:
    experiment = built("mlp_digits")
    topology = topologies.parse("cpu:8")
    with pytest.raises(UsageError, match=r"needs 3\*1\*1 = 3 devices, but there are 8"):
        compile.plan(experiment, RunOptions(offline=True, mesh="data=3"), topology, devices)
    with pytest.raises(UsageError, match="does not divide by 8 devices times 3 microbatches"):
        compile.plan(experiment, RunOptions(offline=True, microbatches=3), topology, devices)
    with pytest.raises(UsageError, match="plan with jit or shard_map"):
        compile.plan(experiment, RunOptions(offline=True, parallel="pmap"), topology, devices)
    begun = dataclasses.replace(experiment, load=weights.of("gone.npz", {"net": "net"}))
    with pytest.raises(UsageError, match=r"there is no .*gone\.npz, whose parameters 'net' begins"):
        compile.plan(begun, RunOptions(offline=True), topology, devices)


@pytest.mark.quick
def test_a_search_tries_savers_only_where_they_are_needed() -> None:
    assert search.meshes(8, 16, tensor=False) == [
        "data=8,fsdp=1,tensor=1",
        "data=1,fsdp=8,tensor=1",
    ]
    assert "data=1,fsdp=4,tensor=2" in search.meshes(8, 16, tensor=True)
    assert search.meshes(8, 12, tensor=False) == []
    assert search.microbatches_for(16, "data=1,fsdp=8,tensor=1") == [1, 2]
