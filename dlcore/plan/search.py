"""Searches mesh, microbatches and rematerialisation for the fastest step that fits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import jax

from dlcore.errors import UsageError
from dlcore.options import RunOptions
from dlcore.plan.compile import Plan, plan
from dlcore.plan.topologies import Topology
from dlcore.train.experiment import Config, Experiment

MICROBATCHES = (1, 2, 4, 8, 16)
TENSOR = (1, 2, 4, 8)  # larger groups communicate too much


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One combination of mesh, microbatches and rematerialisation, and its plan.

    Attributes:
        mesh: a value of `--mesh` that names all three axes.
        microbatches: their number.
        remat: the config's field `remat`; None: the config has none.
        plan: the forecast.
    """

    mesh: str
    microbatches: int
    remat: bool | None
    plan: Plan


def meshes(devices: int, batch: int, tensor: bool) -> list[str]:
    """Lists meshes to try: splits of the devices over the axes `data`, `fsdp` and `tensor`.

    The devices on `data` and `fsdp`, over which the batch is sharded, divide the batch.

    For each size of `tensor`, the remaining devices are all on `data`, all on `fsdp`, or 8 on
    `fsdp` and the rest on `data`.

    Args:
        devices: number of devices.
        batch: number of examples of a step.
        tensor: whether to try sizes of `tensor` above 1, for models with tensor-parallel rules.

    Returns:
        Values of `--mesh`, such as "data=2,fsdp=8,tensor=1".
    """
    found = []
    for t in TENSOR if tensor else (1,):
        if devices % t or batch % (devices // t):
            continue
        rest = devices // t
        for fsdp in dict.fromkeys((1, 8, rest)):
            if rest % fsdp == 0:
                found.append(f"data={rest // fsdp},fsdp={fsdp},tensor={t}")
    return found


def microbatches_for(batch: int, mesh: str) -> list[int]:
    """Lists the numbers of microbatches to try on a mesh, in ascending order.

    Args:
        batch: number of examples of a step.
        mesh: a value of `--mesh` with all three axes.

    Returns:
        Those of `MICROBATCHES` for which data * fsdp devices divide each microbatch.
    """
    sizes = dict(part.split("=") for part in mesh.split(","))
    rows = int(sizes["data"]) * int(sizes["fsdp"])
    return [count for count in MICROBATCHES if batch % (rows * count) == 0]


def search(
    config: Config,
    build: Callable[[Config], Experiment],
    flags: RunOptions,
    topology: Topology,
    devices: Sequence[jax.Device],
    say: Callable[[str], None],
) -> list[Candidate]:
    """Tries `meshes` with the fewest microbatches that fit, with and without rematerialisation.

    Args:
        config: the config; only one with a field `remat` is tried with both of its values.
        build: makes the experiment of a config.
        flags: the run options; each candidate replaces mesh and microbatches.
        topology: the hardware.
        devices: its devices.
        say: is called with a line about each candidate, also those that are not returned, and about
            microbatches that the step refuses, after which no more are tried.

    Returns:
        The best candidate of each mesh, the fastest first; at the end those that do not fit, the
        one with the least memory first.

    Raises:
        UsageError: `flags` names a mesh or several microbatches, no mesh divides the batch, or
            `plan` refuses the options (`--parallel pmap`).
    """
    if flags.mesh or flags.microbatches > 1:
        raise UsageError(
            "--search chooses the mesh and the microbatches: leave out --mesh and --microbatches"
        )
    savers = hasattr(config, "remat")
    usual = build(config)
    found: list[Candidate] = []
    choices = meshes(len(devices), usual.batch, bool(usual.tensor_parallel))
    if not choices:
        raise UsageError(
            f"--search: no mesh of {len(devices)} devices divides a batch of {usual.batch}; give"
            f" --batch a multiple of {len(devices)}"
        )
    built = {None: usual} | (
        {r: build(dataclasses.replace(config, remat=r)) for r in (False, True)} if savers else {}
    )
    for mesh in choices:
        tried: list[Candidate] = []
        for remat in (False, True) if savers else (None,):
            for microbatches in microbatches_for(usual.batch, mesh):
                run_options = dataclasses.replace(flags, mesh=mesh, microbatches=microbatches)
                try:
                    made = plan(built[remat], run_options, topology, devices)
                except UsageError as refused:
                    if microbatches == 1:
                        raise
                    say(f"{mesh}: {refused}")  # the step needs its whole batch
                    break
                tried.append(Candidate(mesh, microbatches, remat, made))
                say(describe(tried[-1]))
                if tried[-1].plan.fits or tried[-1].plan.state_bytes == tried[-1].plan.needs:
                    break  # it fits, or the state alone is too large
        found.append(min(tried, key=_order))
    return sorted(found, key=_order)


def _order(candidate: Candidate) -> tuple[bool, float, int]:
    result = candidate.plan
    return (
        not result.fits,
        result.estimate.least if result.estimate and result.fits else float("inf"),
        result.needs,
    )


def describe(candidate: Candidate) -> str:
    """Formats a candidate as a line: its options, time of a step, memory, and whether it fits."""
    result, remat = (
        candidate.plan,
        ("" if candidate.remat is None else f" remat={'on' if candidate.remat else 'off'}"),
    )
    time = (
        f"{result.estimate.least * 1e3:.3g} ms by {result.estimate.limit}, "
        if result.estimate
        else ""
    )
    fits = "fits" if result.fits else "does not fit"
    return (
        f"{candidate.mesh} microbatches={candidate.microbatches}{remat}:"
        f" {time}{result.needs / 2**30:.2f} GiB a device: {fits}"
    )
