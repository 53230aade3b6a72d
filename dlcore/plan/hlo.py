"""Parses compiled programs as XLA prints them: their instructions, and how often each runs."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Iterator, Mapping

_HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_ARRAY = re.compile(r"\b(pred|[a-z]\d+[a-z0-9]*|bf16)\[([\d,]*)\](\{[^}]*\})?")
_BITS = re.compile(r"\d+")


@dataclasses.dataclass(frozen=True)
class Instruction:
    """A line of a program: `name = shape opcode(operands), attributes`.

    Attributes:
        name: without "%".
        shape: of the result, as XLA writes it.
        opcode: such as "fusion".
        operands: names of instructions; of a parameter its number, of a constant its value.
        attributes: the rest of the line.
        root: whether the result is that of the computation.
    """

    name: str
    shape: str
    opcode: str
    operands: tuple[str, ...]
    attributes: str
    root: bool

    def called(self, word: str) -> list[str]:
        """Returns the computations that an attribute names, such as "calls"; [] without it."""
        found = re.search(rf"\b{word}=(?:\{{([^}}]*)\}}|%?([\w.\-]+))", self.attributes)
        return [name.strip(" %") for name in (found[1] or found[2]).split(",")] if found else []


Computation = Mapping[str, Instruction]


@dataclasses.dataclass(frozen=True)
class Program:
    """A compiled module.

    Attributes:
        computations: {name: {name: instruction}}.
        entry: name of the computation that is run.
    """

    computations: Mapping[str, Computation]
    entry: str

    @functools.cached_property
    def executed(self) -> list[tuple[str, Instruction, int]]:
        """All instructions: (name of its computation, instruction, executions in one run).

        Instructions inside fusions are included; `fused` names their computations. Those of loop
        conditions and of the functions that reductions apply are not. Each branch of a conditional
        counts as often as the conditional.
        """
        return list(self._run(self.entry, 1))

    @functools.cached_property
    def fused(self) -> set[str]:
        """The names of the computations that fusion instructions call."""
        return {
            name
            for computation in self.computations.values()
            for each in computation.values()
            if each.opcode == "fusion"
            for name in each.called("calls")
        }

    def _run(self, name: str, times: int) -> Iterator[tuple[str, Instruction, int]]:
        for each in self.computations[name].values():
            yield name, each, times
            words = {
                "while": ["body"],
                "call": ["to_apply"],
                "conditional": ["branch_computations", "true_computation"],
            }
            words["conditional"].append("false_computation")
            inner = words.get(
                each.opcode, ["calls"] if each.opcode in ("fusion", "async-start") else []
            )
            again = times * self.trips(each) if each.opcode == "while" else times
            for word in inner:
                for called in each.called(word):
                    if called in self.computations:
                        yield from self._run(called, again)

    def trips(self, loop: Instruction) -> int:
        """Returns the number of iterations of a while loop.

        It is XLA's known trip count, otherwise the only int32 constant in the condition, otherwise
        1.
        """
        matched = re.search(r'known_trip_count"?:\{"n":"(\d+)"', loop.attributes)
        if matched:
            return int(matched[1])
        condition = [
            self.computations[name]
            for name in loop.called("condition")
            if name in self.computations
        ]
        numbers = [
            int(each.operands[0])
            for computation in condition
            for each in computation.values()
            if each.opcode == "constant"
            and each.shape.startswith("s32[]")
            and each.operands[0].lstrip("-").isdigit()
        ]
        return numbers[0] if len(numbers) == 1 and numbers[0] > 0 else 1


def parse(text: str) -> Program:
    """Parses the text of `compiled.as_text()`."""
    computations: dict[str, dict[str, Instruction]] = {}
    entry, current = "", ""
    for line in text.splitlines():
        head = None if line.startswith(" ") else _HEAD.match(line)
        if head:
            current = head[2]
            computations[current] = {}
            entry = current if head[1] else entry
        elif current and " = " in line:
            each = _instruction(re.sub(r"/\*.*?\*/", "", line).strip())
            computations[current][each.name] = each
    return Program(computations, entry)


def _instruction(line: str) -> Instruction:
    left, rest = line.split(" = ", 1)
    end = _closing(rest, 0) if rest.startswith("(") else rest.index(" ")
    shape, rest = rest[:end], rest[end:].lstrip()
    opening = rest.index("(")
    closing = _closing(rest, opening)
    inside = rest[opening + 1 : closing - 1]
    operands = tuple(part.split()[-1].lstrip("%") for part in _parts(inside) if part.split())
    return Instruction(
        left.removeprefix("ROOT ").lstrip("%"),
        shape,
        rest[:opening],
        operands,
        rest[closing:],
        left.startswith("ROOT "),
    )


def _closing(text: str, start: int) -> int:
    """The position after the bracket that closes the one at `start`."""
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] in "({") - (text[place] in ")}")
        if depth == 0:
            return place + 1
    return len(text)


def _parts(text: str) -> list[str]:
    """Splits a text at commas outside of brackets."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "({[") - (letter in ")}]")
        if letter == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]


def size(shape: str, memory: bool = False) -> int:
    """Computes the bytes of a shape, at least one per element, summed over the arrays of a tuple.

    Args:
        shape: as XLA writes it.
        memory: exclude arrays in a TPU's vector memory (memory space 1).
    """
    total = 0
    for kind, dims, layout in _ARRAY.findall(shape):
        if not (memory and "S(1)" in layout):
            bits = _BITS.search(kind)
            total += max(1, int(bits[0]) // 8 if bits else 1) * math.prod(
                int(d) for d in dims.split(",") if d
            )
    return total
