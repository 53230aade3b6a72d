"""How long a step takes at the least: the slowest of arithmetic, memory and talk between devices,
each at its peak.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence

from dlcore.plan.collectives import Collective
from dlcore.plan.topologies import Hardware


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Seconds of one step, and what bounds it.

    least        the three overlap wholly: the roofline
    most         nothing overlaps
    efficiency   the peak's share that is used for dots and convolutions if the step takes `least`
    """

    compute: float
    memory: float
    communication: float
    efficiency: float

    @property
    def least(self) -> float:
        """The slowest of the three."""
        return max(self.compute, self.memory, self.communication)

    @property
    def most(self) -> float:
        """All three after each other."""
        return self.compute + self.memory + self.communication

    @property
    def limit(self) -> str:
        """The slowest one's name."""
        named = {"compute": self.compute, "memory": self.memory, "collectives": self.communication}
        return max(named, key=lambda name: named[name])


def seconds(each: Collective, hardware: Hardware) -> float:
    """All runs of a collective: its bytes at the slowest link that the group must use, and a
    latency for each halving of the group.
    """
    return each.count * (
        each.sent / speed(each, hardware) + hardware.hop * max(1, math.ceil(math.log2(each.group)))
    )


def speed(each: Collective, hardware: Hardware) -> float:
    """Bytes a second that a device of the group sends: inside a host over its links; over several
    hosts, what their networks carry.

    On a torus, over the rings of all sides on which the group lies.
    """
    if not hardware.network:
        return hardware.link * each.sides
    hosts = [Counter(i // hardware.host for i in group) for group in each.groups]
    crosses = any(len(counts) > 1 for counts in hosts)
    # A group with k members in a host has k networks to its next host.
    inside = min(max(counts.values()) for counts in hosts)
    return min(hardware.link, inside * hardware.network) if crosses else hardware.link


def placed(each: Collective, coordinates: Sequence[Sequence[int]]) -> Collective:
    """`each` with its `sides`, where the devices have coordinates; they are given in the mesh's
    order.
    """
    spans = [
        {len({coordinates[i][side] for i in group}) for group in each.groups}
        for side in range(len(coordinates[0]))
    ]
    return dataclasses.replace(each, sides=max(1, sum(max(span) > 1 for span in spans)))


def estimate(
    hardware: Hardware,
    flops: float,
    shared: int,
    devices: int,
    moved: float,
    collectives: Sequence[Collective],
    precision: str,
) -> Estimate:
    """Of a step of `flops` over all devices, of which `shared` divide them; `moved` bytes of memory
    on each.
    """
    peak = hardware.bf16 if precision == "bf16" else hardware.f32
    compute, memory = flops / shared / peak, moved / hardware.bandwidth
    communication = sum(seconds(each, hardware) for each in collectives)
    least = max(compute, memory, communication)
    return Estimate(
        compute, memory, communication, flops / devices / peak / least if least else 0.0
    )


def slowest(collectives: Sequence[Collective], hardware: Hardware) -> str:
    """The kind and axes that take most of the talk; empty without any."""
    times: dict[str, float] = {}
    for each in collectives:
        name = f"{each.kind} over {'+'.join(each.axes) or '?'}"
        times[name] = times.get(name, 0.0) + seconds(each, hardware)
    return max(times, key=lambda name: times[name]) if times else ""


def grouped(collectives: Sequence[Collective], hardware: Hardware) -> list[Mapping[str, object]]:
    """A row for each kind and axes: how many run in a step, the bytes of their results, their
    seconds. The slowest first.
    """
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for each in collectives:
        row = rows.setdefault(
            (each.kind, "+".join(each.axes)), {"count": 0, "bytes": 0, "seconds": 0.0}
        )
        row["count"] += each.count
        row["bytes"] += each.count * each.bytes
        row["seconds"] += seconds(each, hardware)
    ordered = sorted(rows.items(), key=lambda item: -item[1]["seconds"])
    return [{"kind": kind, "axes": axes, **row} for (kind, axes), row in ordered]
