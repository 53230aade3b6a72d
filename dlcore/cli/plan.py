"""`dlcore plan`: forecasts memory, time and cost of a run on other hardware."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

from dlcore.bounds import NonNegativeFloat
from dlcore.cli.arguments import parse_all
from dlcore.errors import UsageError
from dlcore.options import RunOptions, check

if TYPE_CHECKING:
    import jax

    from dlcore.plan.topologies import Topology
    from dlcore.runs.catalog import Page
    from dlcore.train.experiment import Config


@dataclasses.dataclass(frozen=True)
class Request:
    """Options of `dlcore plan` itself: the hardware, its price, the output, and the search."""

    topology: str = ""
    """the hardware: tpu:v5e:4x4, gpu:h100:8x8 (hosts x devices of a host) or cpu:8"""
    price: NonNegativeFloat = 0.0
    """dollars for one device and hour"""
    json: str = ""
    """a JSON file to write the plan to"""
    search: bool = False
    """search meshes, microbatches and rematerialisation for the fastest step that fits"""


def main(words: list[str]) -> int:
    """Prints a forecast for a run on other hardware.

    Args:
        words: the command line after `dlcore plan`.

    Returns:
        The exit code: 0 if the run fits the memory of the devices (with --search, if any candidate
        does), otherwise 1. Without an experiment the help is printed, and the exit code is 2, or 0
        for `--help`.

    Raises:
        UsageError: no such experiment, no hardware is named, the options do not fit it, or the
            folder of the file of --json does not exist.
    """
    from dlcore.cli.commands import COMMANDS
    from dlcore.runs import catalog

    if not words or words[0].startswith("-"):
        print(f"dlcore {COMMANDS['plan']}\n\nexperiments: {', '.join(catalog.names())}")
        return 0 if words and words[0] in ("-h", "--help") else 2
    page = catalog.load(catalog.find(words[0]))
    usual = page.usual(words)
    parsed = parse_all(
        words[1:],
        f"dlcore plan {words[0]}",
        page.description,
        request=Request(),
        config=usual,
        flags=page.flags,
    )
    request = cast(Request, parsed["request"])
    config, flags = cast("Config", parsed["config"]), cast(RunOptions, parsed["flags"])
    check(config, flags)
    if not request.topology:
        raise UsageError("name the hardware: --topology tpu:v5e:4x4, gpu:h100:8x8 or cpu:8")
    if request.json and not Path(request.json).absolute().parent.is_dir():
        raise UsageError(f"--json {request.json}: its folder does not exist: create it first")
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
    """Restricts JAX to the CPU, so that no accelerator of this machine is used."""
    import jax

    from dlcore.runtime import devices

    jax.config.update("jax_platforms", "cpu")
    try:
        devices.prepare(
            RunOptions(cpu_devices=simulated, deterministic=deterministic), 1, os.environ
        )
    # devices are initialised already; `topologies.devices` reports if they are too few
    except RuntimeError:
        return


def _one(
    page: Page,
    config: Config,
    flags: RunOptions,
    request: Request,
    topology: Topology,
    devices: list[jax.Device],
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
    page: Page,
    config: Config,
    flags: RunOptions,
    request: Request,
    topology: Topology,
    devices: list[jax.Device],
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


def _write(file: str, plans: dict[str, object]) -> None:
    if file:
        Path(file).write_text(json.dumps(plans, indent=1) + "\n", encoding="utf-8")
        print(f"written to {file}")
