"""What is decided before JAX looks at its devices."""

from __future__ import annotations

import dataclasses
import os

import jax
import pytest

from dlcore.options import RunOptions
from dlcore.runtime import cores, devices

pytestmark = pytest.mark.quick


@pytest.fixture
def updates(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What JAX's configuration is asked for: here its devices exist already."""
    updates: dict[str, int] = {}
    monkeypatch.setattr(jax.config, "update", lambda name, value: updates.update({name: value}))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(4)))
    return updates


@pytest.mark.parametrize(
    ("batch", "flags", "expected"),
    [
        (128, RunOptions(), 4),  # one a core
        (6, RunOptions(), 3),  # as far as the batch divides
        (7, RunOptions(), 1),
        (8, RunOptions(microbatches=4), 2),
        (3, RunOptions(microbatches=2), 1),
        (128, RunOptions(cpu_devices=2), 2),
        (128, RunOptions(mesh="data=2,fsdp=4"), 8),
        (128, RunOptions(mesh="data=two"), 1),  # refused later, with a message
        (128, RunOptions(mesh="data=0"), 1),
        (128, RunOptions(mesh="data=1000000"), 64),
    ],
)
def test_as_many_devices_as_cores_mesh_and_batch_allow(
    updates: dict[str, int], batch: int, flags: RunOptions, expected: int
) -> None:
    found = devices.prepare(flags, batch, {})
    assert found == dataclasses.replace(flags, cpu_devices=expected)
    assert updates == {"jax_num_cpu_devices": expected}


@pytest.mark.parametrize(
    "environment",
    [
        {"JAX_NUM_CPU_DEVICES": "3"},
        {"XLA_FLAGS": "--xla_force_host_platform_device_count=3"},
        {"DLCORE_PROCESSES": "2"},
    ],
)
def test_what_somebody_else_decided_stays(
    updates: dict[str, int], environment: dict[str, str]
) -> None:
    assert devices.prepare(RunOptions(), 128, environment) == RunOptions()
    assert not updates


def test_xla_options_are_set_once_and_only_as_requested(updates: dict[str, int]) -> None:
    environment = {"XLA_FLAGS": "--xla_other=1"}
    devices.prepare(RunOptions(), 8, environment)
    assert environment["XLA_FLAGS"].split() == ["--xla_other=1", devices.FUSION]
    devices.prepare(RunOptions(deterministic=True), 8, environment)
    devices.prepare(RunOptions(deterministic=True), 8, environment)
    assert environment["XLA_FLAGS"].split() == [
        "--xla_other=1",
        devices.FUSION,
        "--xla_gpu_deterministic_ops=true",
    ]
    mine = {"XLA_FLAGS": "--xla_cpu_experimental_ynn_fusion_type=MINE"}
    devices.prepare(RunOptions(), 8, mine)
    assert mine["XLA_FLAGS"] == "--xla_cpu_experimental_ynn_fusion_type=MINE"


@pytest.mark.parametrize(
    ("version", "known"),
    [("0.9.9", False), ("0.10.1", True), ("0.12.0.1", True), ("0.13.0", False)],
)
def test_versions_that_may_not_know_the_flag_are_not_given_it(
    updates: dict[str, int], monkeypatch: pytest.MonkeyPatch, version: str, known: bool
) -> None:
    monkeypatch.setattr(jax, "__version__", version)
    environment: dict[str, str] = {}
    devices.prepare(RunOptions(), 8, environment)
    assert (devices.FUSION in environment["XLA_FLAGS"]) == known


def test_a_process_keeps_to_fewer_cores_and_never_takes_more() -> None:
    before = os.sched_getaffinity(0)
    try:
        cores.keep_to(1)
        assert len(os.sched_getaffinity(0)) == 1
        cores.keep_to(64)
        cores.keep_to(0)
        assert len(os.sched_getaffinity(0)) == 1
    finally:
        os.sched_setaffinity(0, before)
