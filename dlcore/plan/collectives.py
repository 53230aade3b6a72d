"""The collectives of a compiled program: their kind, bytes, groups of devices and mesh axes."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

from dlcore.plan.hlo import Program, size

KINDS = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "collective-permute",
    "collective-broadcast",
)


@dataclasses.dataclass(frozen=True)
class Collective:
    """One collective instruction of a compiled program.

    Attributes:
        kind: one of `KINDS`.
        count: how often it runs in one step.
        bytes: of the operands on one device, in one execution of the instruction; for an
            all-gather, of its result.
        groups: numbers of the devices that communicate with each other; for a collective-permute,
            pairs (source, target).
        axes: the mesh axes along which the groups extend; () if unknown.
        shape: XLA's shape of the result.
        source: XLA's `op_name` of the traced operation that it comes from; "" if unknown.
        sides: the number of dimensions of a torus over which a group extends, which
            `roofline.placed` fills in.
    """

    kind: str
    count: int
    bytes: int
    groups: tuple[tuple[int, ...], ...]
    axes: tuple[str, ...]
    shape: str
    source: str
    sides: int = 1

    @property
    def group(self) -> int:
        """The number of devices in a group."""
        return max((len(group) for group in self.groups), default=1)

    @property
    def sent(self) -> float:
        """The bytes that each device sends in one execution of the instruction, not in the step.

        They are those of a ring algorithm: for n devices in a group 2 (n - 1) / n times `bytes` for
        an all-reduce, and (n - 1) / n times `bytes` for an all-gather, a reduce-scatter and an
        all-to-all; for a permutation and a broadcast they are `bytes`.
        """
        n = self.group
        share = {
            "all-reduce": 2 * (n - 1) / n,
            "collective-permute": 1.0,
            "collective-broadcast": 1.0,
        }
        return self.bytes * share.get(self.kind, (n - 1) / n)


def collectives(program: Program, mesh: Mapping[str, int]) -> list[Collective]:
    """Lists the collectives of a program that move data.

    Args:
        program: the compiled program.
        mesh: {axis: size}.

    Returns:
        One entry for each collective, one for all parts of a collective that XLA for TPU splits;
        its count includes the iterations of loops.

    Raises:
        ValueError: the program writes its groups in an unknown notation.
    """
    found, begun = [], set()
    for name, each, times in program.executed:
        kind = each.opcode.removesuffix("-start")
        if kind not in KINDS or each.opcode.endswith("-done"):
            continue
        devices = math.prod(mesh.values())
        groups = (
            _pairs(each.attributes)
            if kind == "collective-permute"
            else _groups(each.attributes, devices)
        )
        local = program.computations[name]
        given = sum(size(local[o].shape) for o in each.operands if o in local)
        n = max((len(group) for group in groups), default=1)
        if n == 1:
            continue
        channel = re.search(r"channel_id=(\d+)", each.attributes)
        # XLA for TPU splits a collective over several fusions, to overlap it with them
        if channel and name in program.fused:
            if channel[1] in begun:
                continue
            begun.add(channel[1])
        if name.startswith("all-reduce-scatter"):  # XLA's name of a reduce-scatter on TPU
            kind = "reduce-scatter"
        source = re.search(r'op_name="([^"]*)"', each.attributes)
        payload = given * n if kind == "all-gather" else given
        axes = _axes(groups, mesh, kind == "collective-permute")
        found.append(
            Collective(kind, times, payload, groups, axes, each.shape, source[1] if source else "")
        )
    return found


def _pairs(attributes: str) -> tuple[tuple[int, ...], ...]:
    matched = re.search(r"source_target_pairs=\{((?:\{\d+,\d+\},?)*)\}", attributes)
    pairs = re.findall(r"\{(\d+),(\d+)\}", matched[1]) if matched else []
    return tuple((int(a), int(b)) for a, b in pairs if a != b)


def _groups(attributes: str, devices: int) -> tuple[tuple[int, ...], ...]:
    """The groups of devices, in any of XLA's three notations; all devices where there is none."""
    everyone = (tuple(range(devices)),)
    listed = re.search(r"replica_groups=\{((?:\{[\d,]*\},?)*)\}", attributes)
    if listed:
        groups = re.findall(r"\{([\d,]+)\}", listed[1])
        return tuple(tuple(int(i) for i in group.split(",")) for group in groups) or everyone
    counted = re.search(r"replica_groups=\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?", attributes)
    if counted:
        shape, before, turned = (
            [int(i) for i in (each or "").split(",") if i] for each in counted.groups()
        )
        order = np.arange(math.prod(before)).reshape(before)
        order = order.transpose(turned) if turned else order
        return tuple(tuple(int(i) for i in row) for row in order.reshape(shape))
    named = re.search(
        r"replica_groups=mesh\[([^\]]*)\](?:, device_ids=\(([^{]*)\))? \{([^}]*)\}", attributes
    )
    if named:
        return _of_axes(named[1], named[2] or "", named[3])
    if "replica_groups=" in attributes and "replica_groups={}" not in attributes:
        raise ValueError(f"unknown notation of XLA's groups: {attributes[:200]}")
    return everyone


def _of_axes(mesh: str, ids: str, axes: str) -> tuple[tuple[int, ...], ...]:
    """The groups that XLA writes by mesh axes.

    Args:
        mesh: axes and sizes, as 'a'=4,'b'=2.
        ids: the devices in the mesh's order: "" for consecutive ids, a list of ids, or a shape
            with a permutation of its axes, as [4,2]T(1,0).
        axes: the axes of a group, as 'b'; 'a':(1)2 is a part of an axis.
    """
    sizes = {name: int(count) for name, count in re.findall(r"'([^']+)'=(\d+)", mesh)}
    split: list[tuple[str, int]] = []
    chosen = []
    expected = {
        name: (before, part)
        for name, before, part in re.findall(r"'([^']+)'(?::\((\d+)\)(\d+))?", axes)
    }
    for name, count in sizes.items():
        before, part = (int(each) if each else None for each in expected.get(name, ("", "")))
        if name in expected and before is not None and part is not None:
            split += [(f"{name}<", before), (name, part), (f"{name}>", count // (before * part))]
        else:
            split.append((name, count))
        if name in expected:
            chosen.append(name)
    order = np.arange(math.prod(sizes.values()))
    matched = re.match(r"\[([\d,]+)\](?:T\(([\d,]+)\))?", ids)
    if ids and not matched:
        order = np.array([int(i) for i in ids.split(",")])
    elif matched:
        turned = [int(i) for i in (matched[2] or "").split(",") if i]
        order = order.reshape([int(i) for i in matched[1].split(",")])
        order = order.transpose(turned) if turned else order
    order = order.reshape([count for _, count in split])
    names = [name for name, _ in split]
    inner = [names.index(name) for name in chosen]
    outer = [i for i in range(len(names)) if i not in inner]
    rows = order.transpose(outer + inner).reshape(-1, math.prod(order.shape[i] for i in inner))
    return tuple(tuple(int(i) for i in row) for row in rows)


def _axes(
    groups: Sequence[tuple[int, ...]], mesh: Mapping[str, int], pairs: bool
) -> tuple[str, ...]:
    """The mesh axes of the groups; for pairs, all axes along which the coordinates differ."""
    places = np.stack(np.unravel_index(np.arange(math.prod(mesh.values())), tuple(mesh.values())))
    if max(i for group in groups for i in group) >= places.shape[1]:
        return ()
    if pairs:
        moved = {
            axis
            for a, b in groups
            for axis, x, y in zip(mesh, places[:, a], places[:, b], strict=True)
            if x != y
        }
        return tuple(axis for axis in mesh if axis in moved)
    expected = {frozenset(group) for group in groups}
    names = [axis for axis, count in mesh.items() if count > 1]
    order = np.arange(places.shape[1]).reshape(tuple(mesh.values()))
    for count in range(1, len(names) + 1):
        for axes in itertools.combinations(names, count):
            ends = [list(mesh).index(axis) for axis in axes]
            rows = np.moveaxis(order, ends, range(-len(ends), 0)).reshape(
                -1, math.prod(mesh[axis] for axis in axes)
            )
            if {frozenset(row.tolist()) for row in rows} == expected:
                return axes
    return ()
