"""A plan as JSON and as tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from dlcore.plan import roofline
from dlcore.plan.compile import Plan
from dlcore.plan.search import Candidate

# the fraction of a GPU's memory that JAX uses without XLA_PYTHON_CLIENT_MEM_FRACTION
GPU_DEFAULT = 0.75


def as_json(name: str, plan: Plan, steps: int, price: float) -> dict[str, object]:
    """Returns a plan as JSON values, in bytes, FLOPs, seconds and dollars; without its program.

    Without an estimate of the time, the entries on costs are missing: flops, bytes, collectives,
    step and run. The time of the run is in hours.

    Args:
        name: of the experiment.
        plan: the plan.
        steps: of the whole run.
        price: dollars for one device and hour; 0: not known, and the dollars are None.
    """
    topology, estimate, memory = plan.topology, plan.estimate, plan.memory
    fields: dict[str, object] = {
        "experiment": name,
        "topology": topology.text,
        "devices": topology.count,
        "mesh": plan.mesh,
        "batch": plan.batch,
        "microbatches": plan.microbatches,
        "precision": plan.precision,
        "parameters": plan.parameters,
        "memory": {
            "device": int(topology.hardware.memory),
            "state": plan.state_bytes,
            "peak": plan.needs,
            "fits": plan.fits,
            "arguments": memory.arguments if memory else None,
            "outputs": memory.outputs if memory else None,
            "temporary": memory.temporary if memory else None,
        },
        "planned_in_seconds": round(plan.seconds, 1),
    }
    if estimate:
        hours = [seconds * steps / 3600 for seconds in (estimate.least, estimate.most)]
        dollars = [each * topology.count * price if price else None for each in hours]
        fields |= {
            "flops": plan.flops,
            "bytes": plan.bytes,
            "collectives": roofline.grouped(plan.collectives, topology.hardware),
            "step": {
                "compute": estimate.compute,
                "memory": estimate.memory,
                "collectives": estimate.communication,
                "least": estimate.least,
                "most": estimate.most,
                "limit": estimate.limit,
                "slowest_collective": roofline.slowest(plan.collectives, topology.hardware),
                "efficiency": estimate.efficiency,
            },
            "run": {
                "steps": steps,
                "hours": hours[0],
                "hours_without_overlap": hours[1],
                "dollars": dollars[0],
                "dollars_without_overlap": dollars[1],
            },
        }
    return fields


def print_plan(name: str, plan: Plan, steps: int, price: float, word: str) -> None:
    """Prints a plan as tables on the terminal.

    Args:
        name: of the experiment.
        plan: the plan.
        steps: of the whole run.
        price: dollars for one device and hour; 0: not known.
        word: a note that is printed below; "": none.
    """
    topology, estimate, memory = plan.topology, plan.estimate, plan.memory
    mesh = ",".join(f"{axis}={count}" for axis, count in plan.mesh.items())
    table = Table(
        title=(
            f"{name} on {topology.text}: --mesh {mesh} --microbatches {plan.microbatches}"
            f" --precision {plan.precision}"
        )
    )
    table.add_column("one device")
    table.add_column("", justify="right")
    limit = f"of {_bytes(topology.hardware.memory)}"
    fit = "fits" if plan.fits else "does NOT fit"
    table.add_row("peak memory", f"{_needs(plan)} {limit}: {fit}")
    table.add_row("  state (parameters, optimizer)", _bytes(plan.state_bytes))
    if memory and estimate:
        table.add_row("  temporary", _bytes(memory.temporary))
        table.add_row("FLOPs of a step, all devices", f"{plan.flops:.3g}")
        table.add_row("memory traffic of a step", _bytes(plan.bytes))
        for what, value in (
            ("compute", estimate.compute),
            ("memory", estimate.memory),
            ("collectives", estimate.communication),
        ):
            table.add_row(f"  time of {what}", _time(value))
        fields = f"{_time(estimate.least)} to {_time(estimate.most)}: {estimate.limit}"
        table.add_row("time of a step: full to no overlap; limit", fields)
        table.add_row("efficiency at best", f"{estimate.efficiency:.1%}")
        ends = [seconds * steps for seconds in (estimate.least, estimate.most)]
        table.add_row(f"{steps} steps", f"{_time(ends[0])} to {_time(ends[1])}")
        if price:
            dollars = [seconds / 3600 * topology.count * price for seconds in ends]
            table.add_row(
                f"dollars, {topology.count} devices at {price:g} an hour",
                f"{dollars[0]:,.2f} to {dollars[1]:,.2f}",
            )
    console = Console()
    table_console = Console(width=max(console.width, 110))
    table_console.print(table)
    if plan.collectives:
        communication = Table(title="collectives of a step")
        for column in ("kind", "axes", "runs", "bytes", "time"):
            communication.add_column(
                column, justify="left" if column in ("kind", "axes") else "right"
            )
        for row in roofline.grouped(plan.collectives, topology.hardware):
            words = [
                row["kind"],
                row["axes"] or "?",
                str(row["count"]),
                _bytes(row["bytes"]),
                _time(row["seconds"]),
            ]
            communication.add_row(*words)
        table_console.print(communication)
    for line in (word, _advice(plan)):
        if line:
            print(f"dlcore: {line}")


def _advice(plan: Plan) -> str:
    device = plan.topology.hardware.memory
    if not plan.fits:
        return (
            f"{_needs(plan)} do not fit {_bytes(device)}: split the state (--mesh fsdp=N),"
            " rematerialise (--remat, if the experiment has it), use more --microbatches or more"
            " devices; --search tries them"
        )
    if plan.topology.hardware.kind == "gpu" and plan.needs > GPU_DEFAULT * device:
        return (
            "more than the 75 % of a GPU's memory that JAX uses: set"
            " XLA_PYTHON_CLIENT_MEM_FRACTION=0.92"
        )
    return ""


def print_search(name: str, found: Sequence[Candidate]) -> None:
    """Prints the candidates of a search as a table, in their order.

    Args:
        name: of the experiment, for the title.
        found: at least one candidate, the fastest that fits first, as `search` returns them.
    """
    table = Table(title=f"{name} on {found[0].plan.topology.text}: the fastest that fits is first")
    for column in (
        "mesh",
        "microbatches",
        "remat",
        "peak memory",
        "fits",
        "step",
        "efficiency",
        "limit",
    ):
        table.add_column(column)
    for each in found:
        estimate, remat = (
            each.plan.estimate,
            ("" if each.remat is None else "on" if each.remat else "off"),
        )
        times = (
            (_time(estimate.least), f"{estimate.efficiency:.1%}", estimate.limit)
            if estimate
            else ("", "", "")
        )
        fits = "yes" if each.plan.fits else "no"
        table.add_row(each.mesh, str(each.microbatches), remat, _needs(each.plan), fits, *times)
    console = Console()
    Console(width=max(console.width, 120)).print(table)


def _needs(plan: Plan) -> str:
    return _bytes(plan.needs) if plan.memory else f"at least {_bytes(plan.needs)}"


def _time(seconds: float) -> str:
    for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3)):
        if seconds >= 2 * length or (unit in ("s", "ms") and seconds >= length):
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def _bytes(count: float) -> str:
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.4g} {unit}"
