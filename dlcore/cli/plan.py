"""`dlcore plan`: what a run would take on hardware that is not there."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from dlcore.bounds import NonNegativeFloat
from dlcore.cli.arguments import parse
from dlcore.errors import UsageError
from dlcore.options import RunOptions


@dataclasses.dataclass(frozen=True)
class Request:
    """What to plan for."""

    topology: str = ""
    """tpu:v5e:4x4, gpu:h100:8x8 (hosts x devices of a host), cpu:8"""
    price: NonNegativeFloat = 0.0
    """dollars for one device and hour"""
    json: str = ""
    """a file to write all of it to"""
    search: bool = False
    """try meshes, microbatches and rematerialisation, and name the quickest that fits"""


def main(words: list[str]) -> int:
    """Plan what the words say. The exit code: 0 for a plan that fits, 1 for one that does not."""
    from dlcore.cli.commands import COMMANDS
    from dlcore.runs import catalog

    if not words or words[0].startswith("-"):
        print(f"dlcore {COMMANDS['plan']}\n\nexperiments: {', '.join(catalog.names())}")
        return 0 if words and words[0] in ("-h", "--help") else 2
    page = catalog.load(catalog.find(words[0]))
    usual = page.usual(words)
    parsed = parse(
        words[1:],
        f"dlcore plan {words[0]}",
        page.description,
        request=Request(),
        config=usual,
        flags=page.flags,
    )
    request, config, flags = parsed["request"], parsed["config"], parsed["flags"]
    if not request.topology:
        raise UsageError("name the hardware: --topology tpu:v5e:4x4, gpu:h100:8x8 or cpu:8")
    if request.json and not Path(request.json).absolute().parent.is_dir():
        raise UsageError(f"--json {request.json}: its folder is not there: make it first")
    from dlcore.plan import topologies

    topology = topologies.parse(request.topology)
    _prepare(topology.count if topology.hardware.kind == "cpu" else 1, flags.deterministic)
    devices = topologies.devices(topology)
    return (
        _search(page, config, flags, request, topology, devices)
        if request.search
        else _one(page, config, flags, request, topology, devices)
    )


def _prepare(simulated: int, deterministic: bool) -> None:
    """Only the CPU is used, for whatever a page computes while it is built: no accelerator that may
    be here is taken.
    """
    import jax

    from dlcore.runtime import devices

    jax.config.update("jax_platforms", "cpu")
    try:
        devices.prepare(
            RunOptions(cpu_devices=simulated, deterministic=deterministic), 1, os.environ
        )
    # devices were looked at before; `topologies.devices` says if they are too few
    except RuntimeError:
        return


def _one(
    page: Any, config: Any, flags: Any, request: Request, topology: Any, devices: list[Any]
) -> int:
    from dlcore.plan import show
    from dlcore.plan.compile import own_size, plan
    from dlcore.runtime import notices

    experiment = page.experiment(config, flags.source)
    word = ""
    if not flags.mesh:
        mesh, word = own_size(experiment.batch, len(devices), flags.microbatches)
        flags = dataclasses.replace(flags, mesh=mesh)
    with notices.during("compiling"):
        made = plan(experiment, flags, topology, devices)
    show.print_plan(page.name, made, experiment.steps, request.price, word)
    _write(
        request.json,
        {**show.as_json(page.name, made, experiment.steps, request.price), "note": word},
    )
    return 0 if made.fits else 1


def _search(
    page: Any, config: Any, flags: Any, request: Request, topology: Any, devices: list[Any]
) -> int:
    from dlcore.plan import show
    from dlcore.plan.search import search

    found = search(
        config,
        lambda config: page.experiment(config, flags.source),
        flags,
        topology,
        devices,
        lambda line: print(line, flush=True),
    )
    show.print_search(page.name, found)
    plans = [
        {"remat": each.remat, **show.as_json(page.name, each.plan, config.steps, request.price)}
        for each in found
    ]
    _write(request.json, {"experiment": page.name, "topology": topology.text, "candidates": plans})
    if not found[0].plan.fits:
        return 1
    show.print_plan(page.name, found[0].plan, config.steps, request.price, "")
    return 0


def _write(file: str, plans: dict[str, Any]) -> None:
    if file:
        Path(file).write_text(json.dumps(plans, indent=1) + "\n", encoding="utf-8")
        print(f"written to {file}")
