"""The memory traffic of a compiled program.

XLA's own count includes a loop's body only once, and does not exist on GPU.
"""

from __future__ import annotations

from collections.abc import Mapping

from dlcore.plan.hlo import Computation, Instruction, Program, size

# These move no data, or their data are counted in what they call.
_FREE = {
    "parameter",
    "constant",
    "tuple",
    "get-tuple-element",
    "bitcast",
    "while",
    "call",
    "conditional",
    "after-all",
    "iota",
}
_FREE |= {"partition-id", "replica-id", "opt-barrier", "add-dependency"}
_SLICES = {"dynamic-slice", "slice", "gather"}


def moved(program: Program) -> int:
    """Counts the bytes that one run of a program reads and writes on one device.

    An instruction reads its operands and writes its result; loops count all iterations. Where only
    a slice of an operand is read (a layer of stacked parameters), the slice counts; where a slice
    is updated in place, twice the slice. Arrays in a TPU's vector memory do not count.
    """
    total = 0
    for name, each, times in program.executed:
        if (
            name not in program.fused
            and each.opcode not in _FREE
            and not each.opcode.endswith("-done")
        ):
            total += times * _bytes(program, program.computations[name], each)
    return total


def _bytes(program: Program, local: Computation, each: Instruction) -> int:
    shapes = [local[operand].shape if operand in local else "" for operand in each.operands]
    written = size(each.shape, memory=True)
    if each.opcode.endswith("-start"):
        return (
            0
            if each.opcode == "async-start"
            else 2 * sum(size(shape, memory=True) for shape in shapes)
        )
    if each.opcode in _SLICES:
        return 2 * written
    if each.opcode == "dynamic-update-slice":
        return 2 * size(shapes[1], memory=True)
    inner = (
        program.computations.get((each.called("calls") or [""])[0])
        if each.opcode == "fusion"
        else None
    )
    if inner is None:
        return written + sum(size(shape, memory=True) for shape in shapes)
    return _written(inner, written) + _read(inner, shapes)


def _written(inner: Mapping[str, Instruction], whole: int) -> int:
    """The bytes that a fusion writes; only slices where its results are updated in place."""
    root = next((each for each in inner.values() if each.root), None)
    if root is None:
        return whole
    results = [inner[o] for o in root.operands if o in inner] if root.opcode == "tuple" else [root]
    for each in results:
        target = _origin(inner, each)
        if target.opcode == "dynamic-update-slice" and target.operands[1] in inner:
            whole += size(inner[target.operands[1]].shape, memory=True) - size(
                each.shape, memory=True
            )
    return max(whole, 0)


def _read(inner: Mapping[str, Instruction], shapes: list[str]) -> int:
    """The bytes that a fusion reads of its operands."""
    users: dict[str, list[Instruction]] = {}
    for each in inner.values():
        for operand in each.operands:
            users.setdefault(operand, []).append(each)
    total = 0
    for each in inner.values():
        if each.opcode != "parameter":
            continue
        place = int(each.operands[0]) if each.operands else 0
        whole = size(shapes[place], memory=True) if place < len(shapes) else 0
        total += min(whole, _taken(each, users, whole))
    return total


def _taken(each: Instruction, users: dict[str, list[Instruction]], whole: int) -> int:
    """The bytes of a fusion's operand that its users read."""
    taken = 0
    for user in users.get(each.name, []):
        if user.opcode in _SLICES and user.operands[0] == each.name:
            taken += size(user.shape)
        elif user.opcode in ("bitcast", "copy", "convert", "reshape"):
            taken += _taken(user, users, whole)
        elif user.opcode == "dynamic-update-slice" and user.operands[0] == each.name:
            continue
        else:
            return whole
    return taken


def _origin(inner: Mapping[str, Instruction], each: Instruction) -> Instruction:
    """The instruction behind those that only change an array's form."""
    while each.opcode in ("bitcast", "convert", "copy", "reshape") and each.operands[0] in inner:
        each = inner[each.operands[0]]
    return each
