"""The roofline: a lower bound of a step's time, by arithmetic, memory traffic and communication."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from typing import TypedDict

from dlcore.plan.collectives import Collective
from dlcore.plan.hardware import Hardware


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Seconds of one step, each part at the hardware's peak.

    Attributes:
        compute: of dot products and convolutions.
        memory: of memory traffic.
        communication: of collectives.
        efficiency: the fraction of peak FLOP/s if the step takes `least` seconds.
    """

    compute: float
    memory: float
    communication: float
    efficiency: float

    @property
    def least(self) -> float:
        """Seconds of the step if all three parts overlap fully: the largest one (the roofline)."""
        return max(self.compute, self.memory, self.communication)

    @property
    def most(self) -> float:
        """Seconds of the step if nothing overlaps: the sum of the three parts."""
        return self.compute + self.memory + self.communication

    @property
    def limit(self) -> str:
        """The name of the largest part: "compute", "memory" or "collectives" (communication)."""
        named = {"compute": self.compute, "memory": self.memory, "collectives": self.communication}
        return max(named, key=lambda name: named[name])


def seconds(each: Collective, hardware: Hardware) -> float:
    """Estimates the seconds of all runs of a collective in a step.

    count * (sent / speed + hop * ceil(log2 n)), for groups of n devices; `speed` is in bytes per
    second, `hop` in seconds.
    """
    return each.count * (
        each.sent / speed(each, hardware) + hardware.hop * max(1, math.ceil(math.log2(each.group)))
    )


def speed(each: Collective, hardware: Hardware) -> float:
    """Estimates the bytes per second that each device sends in a collective.

    Within a host they are `link`; over several hosts the smaller of `link` and k times `network`,
    where k members of a group are in the same host. Without a network (TPU, CPU) they are `link`
    times `each.sides`.
    """
    if not hardware.network:
        return hardware.link * each.sides
    hosts = [Counter(i // hardware.host for i in group) for group in each.groups]
    crosses = any(len(counts) > 1 for counts in hosts)
    # A group with k members in a host has k networks to its next host.
    inside = min(max(counts.values()) for counts in hosts)
    return min(hardware.link, inside * hardware.network) if crosses else hardware.link


def placed(each: Collective, coordinates: Sequence[Sequence[int]]) -> Collective:
    """Returns a copy with `sides`, the number of dimensions of a torus that a group spans.

    Args:
        each: the collective.
        coordinates: of the devices on the torus, in the order of the mesh.
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
    """Estimates the time of a step.

    Args:
        hardware: the kind of device.
        flops: of the step, over all devices.
        shared: the number of devices over which the FLOPs are divided; less than `devices` where
            some repeat the work of others.
        devices: the number of devices.
        moved: bytes of memory traffic on each device.
        collectives: the collectives of the step.
        precision: "f32" or "bf16".

    Returns:
        Seconds of each part; compute is flops / shared / peak, memory is moved / bandwidth. The
        efficiency is flops / devices / peak, over the largest part.
    """
    peak = hardware.bf16 if precision == "bf16" else hardware.f32
    compute, memory = flops / shared / peak, moved / hardware.bandwidth
    communication = sum(seconds(each, hardware) for each in collectives)
    least = max(compute, memory, communication)
    return Estimate(
        compute, memory, communication, flops / devices / peak / least if least else 0.0
    )


def slowest(collectives: Sequence[Collective], hardware: Hardware) -> str:
    """Names the kind and axes of the slowest collectives: "all-reduce over data"; "": none."""
    times: dict[str, float] = {}
    for each in collectives:
        name = f"{each.kind} over {'+'.join(each.axes) or '?'}"
        times[name] = times.get(name, 0.0) + seconds(each, hardware)
    return max(times, key=lambda name: times[name]) if times else ""


class Group(TypedDict):
    """The collectives of one kind over the same mesh axes, in one step.

    Attributes:
        kind: of the collectives.
        axes: the mesh axes, joined by "+"; "" if unknown.
        count: how often they run.
        bytes: sum of `Collective.bytes` over all runs.
        seconds: sum over all runs, see `seconds`.
    """

    kind: str
    axes: str
    count: float
    bytes: float
    seconds: float


def grouped(collectives: Sequence[Collective], hardware: Hardware) -> list[Group]:
    """Sums count, bytes and seconds of the collectives by kind and axes, the slowest first."""
    groups: dict[tuple[str, str], Group] = {}
    for each in collectives:
        axes = "+".join(each.axes)
        empty = Group(kind=each.kind, axes=axes, count=0, bytes=0, seconds=0.0)
        row = groups.setdefault((each.kind, axes), empty)
        row["count"] += each.count
        row["bytes"] += each.count * each.bytes
        row["seconds"] += seconds(each, hardware)
    return sorted(groups.values(), key=lambda group: -group["seconds"])
