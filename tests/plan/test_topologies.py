"""Hardware that exists, and words for what does not."""

from __future__ import annotations

import re
from typing import Any

import jax
import pytest

from dlcore.errors import UsageError
from dlcore.plan import roofline, topologies
from dlcore.plan.collectives import Collective


@pytest.mark.quick
@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("tpu:v5e:4x4", 16),
        ("tpu:v5p:4x4x4", 64),
        ("gpu:h100:8x8", 64),
        ("gpu:a100:4", 4),
        ("cpu:8", 8),
        ("tpu:v6e:1x1", 1),
    ],
)
def test_topologies_are_read(text: str, count: int) -> None:
    assert topologies.parse(text).count == count


@pytest.mark.quick
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v5e:4x4", "write tpu:v5e:4x4, gpu:h100:8x8"),
        ("tpu:v5e", "write tpu:v5e:4x4"),
        ("tpu:v5e:4y4", "write tpu:v5e:4x4"),
        ("tpu:v99:4x4", "there is no tpu 'v99' in the table; there are v5e, v5p, v6e"),
        ("gpu:v5e:8", "there is no gpu 'v5e' in the table; there are a100, h100, h200, b200"),
        ("tpu:v5p:4x4", "stand in 3 dimensions, as v5p:4x4x4"),
        ("tpu:v5e:32x32", "1024 devices; there are up to 256"),
        ("gpu:h100:2x16", "a host has up to 8"),
        ("cpu:9x9", "write for example cpu:8"),
        ("cpu:0", "write tpu:v5e:4x4"),
    ],
)
def test_what_does_not_exist_is_refused_with_a_way_out(text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        topologies.parse(text)
    assert message in str(error.value)


@pytest.mark.quick
@pytest.mark.parametrize("text", ["tpu:v5e:4x4", "gpu:h100:8"])
def test_a_missing_compiler_names_the_way_to_install_it(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topologies, "_installed", lambda module: False)
    with pytest.raises(UsageError, match=r"not installed: pip install -e '\.\[aot\]'"):
        topologies.devices(topologies.parse(text))


def test_more_simulated_devices_than_there_are(devices: list[jax.Device]) -> None:
    with pytest.raises(UsageError, match="JAX_NUM_CPU_DEVICES=16 simulates more"):
        topologies.devices(topologies.parse("cpu:16"))


@pytest.mark.quick
def test_what_a_compiler_does_not_know_is_reported_with_its_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(name: str, **_: Any) -> Any:
        raise NotImplementedError(f"unknown topology {name}\nand more")

    monkeypatch.setattr(topologies, "_installed", lambda module: True)
    monkeypatch.setattr("jax.experimental.topologies.get_topology_desc", refuse)
    for text, name in (("tpu:v5e:6x10", "v5e:6x10"), ("gpu:h100:8", "h100")):
        with pytest.raises(
            UsageError,
            match=rf"'{text}' cannot be compiled for \(unknown topology {name}\); try tpu:v5e:4x4",
        ):
            topologies.devices(topologies.parse(text))


# Fields of XLA's GpuDeviceInfoProto that its cost model and its launch dimensions use, as
# xla/backends/gpu/target_config/specs has
# them for an H100 (SXM); the bandwidth is NVIDIA's rounded figure, the memory that of a card
# without reserved pages.
H100 = {
    "threads_per_block_limit": 1024,
    "threads_per_warp": 32,
    "shared_memory_per_block": 49152,
    "shared_memory_per_core": 233472,
    "threads_per_core_limit": 2048,
    "core_count": 132,
    "fpus_per_core": 128,
    "block_dim_limit_x": 2**31 - 1,
    "block_dim_limit_y": 65535,
    "block_dim_limit_z": 65535,
    "thread_dim_limit_x": 1024,
    "thread_dim_limit_y": 1024,
    "thread_dim_limit_z": 64,
    "memory_bandwidth": 3352320000000,
    "l2_cache_size": 50 * 2**20,
    "clock_rate_ghz": 1.98,
    "device_memory_size": 84942979072,
    "shared_memory_per_block_optin": 232448,
    "registers_per_core_limit": 65536,
    "registers_per_block_limit": 65536,
}


@pytest.mark.quick
def test_xla_gets_every_number_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field that is left out is 0: without a bandwidth XLA's compiler aborted on three
    experiments, and took minutes on another.
    """
    targets = {}

    def refuse(name: str, target_config: str, **_: Any) -> Any:
        targets[name] = dict(re.findall(r"(\w+): ([\d.]+)", target_config))
        raise NotImplementedError("no compiler is needed here")

    monkeypatch.setattr(topologies, "_installed", lambda module: True)
    monkeypatch.setattr("jax.experimental.topologies.get_topology_desc", refuse)
    gpus = {name: each for name, each in topologies.HARDWARE.items() if each.kind == "gpu"}
    for name in gpus:
        with pytest.raises(UsageError, match="no compiler is needed here"):
            topologies.devices(topologies.parse(f"gpu:{name}:1"))
    assert {key: float(targets["h100"][key]) for key in H100} == pytest.approx(H100, rel=1e-3)
    for name, hardware in gpus.items():
        assert all(float(targets[name][key]) > 0 for key in H100), name
        assert float(targets[name]["memory_bandwidth"]) == hardware.bandwidth
        assert float(targets[name]["device_memory_size"]) == hardware.memory


def ring(kind: str, size: int, groups: tuple[tuple[int, ...], ...]) -> Collective:
    return Collective(kind, 1, size, groups, (), "", "")


@pytest.mark.quick
def test_collectives_take_as_long_as_their_slowest_link() -> None:
    h100 = topologies.HARDWARE["h100"]
    one_host = ring("all-gather", 8 * 10**9, (tuple(range(8)),))
    assert roofline.seconds(one_host, h100) == pytest.approx(7e9 / 450e9 + 3 * h100.hop)
    two_hosts = ring("all-gather", 8 * 10**9, (tuple(range(16)),))
    # eight networks beside each other
    assert roofline.seconds(two_hosts, h100) == pytest.approx(7.5e9 / 400e9 + 4 * h100.hop)
    one_each = ring("all-reduce", 10**9, tuple((i, i + 8) for i in range(8)))
    assert roofline.seconds(one_each, h100) == pytest.approx(1e9 / 50e9 + h100.hop)


@pytest.mark.quick
def test_a_host_has_as_many_devices_as_requested() -> None:
    group = ring("all-gather", 8 * 10**9, (tuple(range(8)),))
    rates = [
        roofline.speed(group, topologies.parse(f"gpu:h100:{shape}").hardware)
        for shape in ("8", "1x8", "2x4", "4x2")
    ]
    assert rates == [450e9, 450e9, 4 * 50e9, 2 * 50e9]


@pytest.mark.quick
def test_a_group_uses_the_rings_of_every_side_of_a_torus_that_it_lies_on() -> None:
    v5p = topologies.HARDWARE["v5p"]
    places = [(x, y, z) for x in range(2) for y in range(2) for z in range(4)]
    whole, line = (
        ring("all-gather", 16 * 10**9, (tuple(range(16)),)),
        ring("all-gather", 4 * 10**9, ((0, 1, 2, 3), (4, 5, 6, 7))),
    )
    assert [roofline.placed(each, places).sides for each in (whole, line)] == [3, 1]
    assert roofline.seconds(roofline.placed(whole, places), v5p) == pytest.approx(
        15e9 / 600e9 + 4 * v5p.hop
    )
    assert roofline.seconds(roofline.placed(line, places), v5p) == pytest.approx(
        3e9 / 200e9 + 2 * v5p.hop
    )


@pytest.mark.quick
def test_the_slowest_of_three_bounds_a_step() -> None:
    v5e = topologies.HARDWARE["v5e"]
    found = roofline.estimate(v5e, 197e12 * 4, 4, 4, 819e9 / 2, [], "bf16")
    assert (found.compute, found.memory, found.communication) == (
        pytest.approx(1.0),
        pytest.approx(0.5),
        0,
    )
    assert (found.least, found.most, found.limit, found.efficiency) == (1.0, 1.5, "compute", 1.0)
    # two devices repeat what two others do
    repeated = roofline.estimate(v5e, 197e12 * 4, 2, 4, 0, [], "bf16")
    assert (repeated.least, repeated.efficiency) == (2.0, 0.5)


# What the makers say of one device, in GB or GiB as they write it: cloud.google.com/tpu/docs (v5e,
# v5p, v6e), NVIDIA's data sheets.
MAKERS = {
    "v5e": (16 * 2**30, 197e12, 819e9, 256),
    "v5p": (95 * 2**30, 459e12, 2765e9, 6144),
    "v6e": (32 * 2**30, 918e12, 1638e9, 256),
    "a100": (80e9, 312e12, 2039e9, 1024),
    "h100": (80e9, 989e12, 3350e9, 1024),
    "h200": (141e9, 989e12, 4800e9, 1024),
    "b200": (180e9, 2250e12, 7700e9, 1024),
}


@pytest.mark.quick
@pytest.mark.parametrize("name", MAKERS)
def test_a_device_is_as_large_and_as_fast_as_its_maker_says(name: str) -> None:
    assert MAKERS.keys() == topologies.HARDWARE.keys()
    found, (memory, flops, bandwidth, most) = topologies.HARDWARE[name], MAKERS[name]
    # a driver keeps a part for itself
    assert found.memory == pytest.approx(memory, rel=0.08 if found.kind == "gpu" else 1e-12)
    assert found.bf16 == pytest.approx(flops, rel=1e-3)
    assert found.bandwidth == pytest.approx(bandwidth, rel=5e-3)
    assert found.most == most
    assert found.f32 == (
        found.bf16 if found.kind == "tpu" else pytest.approx(found.bf16 / 2, rel=1e-2)
    )


@pytest.mark.quick
def test_the_devices_of_a_cpu_share_its_memory() -> None:
    whole, half = (topologies.parse(text).hardware.memory for text in ("cpu:1", "cpu:2"))
    assert whole == 2 * half
    assert whole > 2**30
