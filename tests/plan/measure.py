"""Runs an experiment's step on one CPU device, and prints the forecast and the measured memory.

`python -m tests.plan.measure EXPERIMENT FIELD=VALUE ...`
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from dlcore import sharding
from dlcore.options import RunOptions
from dlcore.plan import topologies
from dlcore.plan.compile import abstract_batch, plan
from dlcore.runs import catalog
from dlcore.runtime import devices
from dlcore.train.compile import compile_step
from dlcore.train.evaluate import packed_step
from dlcore.train.init import initial

FIELDS = ("VmRSS", "VmHWM")


def memory(field: str) -> int:
    """Returns a field of /proc/self/status, one of `FIELDS`, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def main(name: str, changes: dict[str, Any]) -> dict[str, int]:
    """Runs three steps; returns the bytes that were forecast, measured, and of the arguments.

    Args:
        name: of the experiment.
        changes: fields of its config; the others are those of the preset "offline".
    """
    jax.config.update("jax_platforms", "cpu")
    devices.prepare(RunOptions(offline=True, cpu_devices=1), 1, os.environ)
    page = catalog.load(catalog.find(name))
    experiment = page.experiment(
        dataclasses.replace(page.presets.get("offline", page.config()), **changes), "offline"
    )
    topology, flags = topologies.parse("cpu:1"), RunOptions(offline=True)
    here = topologies.devices(topology)
    forecast = plan(experiment, flags, topology, here)

    layout = sharding.layout("jit", "", here)
    batch: Any = abstract_batch(experiment)
    abstract, _ = initial(experiment, 0, layout, batch)
    shardings = jax.tree.map(lambda x: x.sharding, abstract)
    run = compile_step(
        packed_step(experiment.trained, flags, []), layout, abstract, shardings, batch
    )
    # Made by a program, as a run makes its state: arrays from the host could not be given on to the
    # next step.
    ones: Any = lambda: jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), (abstract, batch))  # noqa: E731
    begin = jax.jit(ones, out_shardings=(shardings, layout.rows)).lower().compile()
    # threads and libraries are there
    jax.block_until_ready(jnp.ones((64, 64)) @ jnp.ones((64, 64)))
    ctypes.CDLL(None).malloc_trim(0)
    # the high-water mark begins anew
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = memory("VmRSS")
    state, held = begin()
    for _ in range(3):
        state, metrics = run(state, held)
        jax.block_until_ready(metrics)
    assert forecast.memory is not None
    return {
        "forecast": forecast.needs,
        "measured": memory("VmHWM") - before,
        "arguments": forecast.memory.arguments,
    }


if __name__ == "__main__":
    words = dict(word.split("=") for word in sys.argv[2:])
    print(json.dumps(main(sys.argv[1], {k: json.loads(v) for k, v in words.items()})))
