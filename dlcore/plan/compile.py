"""Compiles the training step for hardware that is not present, without allocating its arrays."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import re
import time
from collections.abc import Iterator, Sequence
from typing import Protocol, cast

import jax
import numpy as np

from dlcore import sharding
from dlcore.data.stream import Stream
from dlcore.errors import UsageError
from dlcore.options import RunOptions
from dlcore.plan import flops, hlo, roofline, traffic
from dlcore.plan.collectives import Collective
from dlcore.plan.collectives import collectives as collectives_of
from dlcore.plan.topologies import Topology
from dlcore.sharding import Tree
from dlcore.train.compile import compile_step
from dlcore.train.evaluate import packed_step
from dlcore.train.experiment import Experiment
from dlcore.train.init import initial, state_of
from dlcore.train.precision import with_precision
from dlcore.train.step import State

# the fraction of memory that a program may use; a TPU's compiler enforces its own limit
USABLE = {"tpu": 1.0, "gpu": 0.92, "cpu": 0.9}
# "Used 32.00G of 15.75G hbm"
_REFUSED = re.compile(r"([\d.]+)([KMGT])(?:i?B)? (?:of [\d.]+[KMGT](?:i?B)? hbm|exceeds)")
_ARRAY = re.compile(r"Allocation \(size=(\d+)\) would exceed")
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes on one device during a step.

    Attributes:
        arguments: of the state and the batch.
        outputs: of results that do not reuse the memory of an argument.
        temporary: of intermediate arrays.
    """

    arguments: int
    outputs: int
    temporary: int

    @property
    def peak(self) -> int:
        """The sum of arguments, outputs and temporary arrays."""
        return self.arguments + self.outputs + self.temporary


@dataclasses.dataclass(frozen=True)
class Plan:
    """The forecast for a step.

    Attributes:
        topology: the hardware.
        mesh: {axis: size}.
        batch, microbatches, precision: of the step.
        parameters: their number, over all models.
        state_bytes: bytes of the state on one device.
        needs: peak bytes on one device; without `memory` a lower bound.
        fits: whether the program compiles and `needs` is at most the usable memory of the device.
        memory: parts of `needs`; None where the state alone is too large or the compiler refused.
        flops: of a step, over all devices; 0 where `memory` is None.
        bytes: memory traffic of a step on one device; 0 where `memory` is None.
        collectives: of a step; () where `memory` is None.
        estimate: the time of a step; None where `memory` is None.
        seconds: the time that planning took.
        program: the compiled program's text, where it is kept.
    """

    topology: Topology
    mesh: dict[str, int]
    batch: int
    microbatches: int
    precision: str
    parameters: int
    state_bytes: int
    needs: int
    fits: bool
    memory: Memory | None = None
    flops: int = 0
    bytes: int = 0
    collectives: tuple[Collective, ...] = ()
    estimate: roofline.Estimate | None = None
    seconds: float = 0.0
    program: str = dataclasses.field(default="", repr=False)


def own_size(batch: int, devices: int, microbatches: int) -> tuple[str, str]:
    """Chooses a mesh for all devices, where the user has given none.

    `data` is the greatest common divisor of the devices and the examples of a microbatch (1 where
    the microbatches do not divide the batch), and `tensor` has the remaining devices. Experiments
    with tensor-parallel rules shard matrices over these; in others they repeat the work.

    Args:
        batch: number of examples of a step.
        devices: number of devices.
        microbatches: number of parts of a batch.

    Returns:
        The value of `--mesh`, such as "data=4,tensor=2", and a message that proposes another batch;
        ("", "") where `data` can have all devices, which is the default.
    """
    parts = math.gcd(devices, batch // microbatches) if batch % microbatches == 0 else 1
    if parts == devices:
        return "", ""
    near = max(1, round(batch / (devices * microbatches))) * devices * microbatches
    return (
        f"data={parts},tensor={devices // parts}",
        (
            f"a batch of {batch} does not divide by {devices} devices: planned with --mesh"
            f" data={parts},tensor={devices // parts}; --batch {near} would use them all for data"
        ),
    )


def abstract_batch(experiment: Experiment) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns {name: shape and dtype} of the arrays of a global batch; one example is read."""
    one = Stream(experiment.train, experiment.batch, 0, np.arange(1)).at(0)
    return {
        name: jax.ShapeDtypeStruct((experiment.batch, *x.shape[1:]), x.dtype)
        for name, x in one.items()
    }


def plan(
    experiment: Experiment,
    flags: RunOptions,
    topology: Topology,
    devices: Sequence[jax.Device],
    keep: bool = False,
) -> Plan:
    """Compiles one step, and reads its cost from the compiled program.

    Args:
        experiment: the experiment.
        flags: the run options.
        topology: the hardware.
        devices: its devices.
        keep: whether the program's text is kept.

    Returns:
        The plan; one that does not fit is returned too.

    Raises:
        UsageError: mesh or batch do not fit the devices, or `--parallel pmap`.
    """
    start_time = time.monotonic()
    layout = sharding.layout(flags.parallel, flags.mesh, devices)
    sharding.check_batch(experiment.batch, layout, flags.microbatches)
    if layout.how == "pmap":
        raise UsageError(
            "--parallel pmap puts its batch on real devices before it compiles: plan with jit or"
            " shard_map"
        )
    batch: Tree = {
        name: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=layout.rows)
        for name, x in abstract_batch(experiment).items()
    }
    abstract, _ = initial(experiment, flags.seed, layout, batch)
    if experiment.load:  # weights that are missing or do not fit are refused here, too
        jax.eval_shape(lambda rows: state_of(experiment, flags.seed, rows), batch)
    held = sum(_share(x) for x in jax.tree.leaves(abstract))
    limit = int(USABLE[topology.hardware.kind] * topology.hardware.memory)
    result = Plan(
        topology,
        dict(layout.mesh.shape),
        experiment.batch,
        flags.microbatches,
        flags.precision,
        sum(x.size for x in jax.tree.leaves(abstract.params)),
        held,
        held,
        fits=False,
    )
    if held > limit:
        return dataclasses.replace(result, seconds=time.monotonic() - start_time)
    step = packed_step(with_precision(experiment.trained, flags.precision), flags, [])
    shardings = jax.tree.map(lambda x: x.sharding, abstract)
    try:
        with _uncached():
            compiled = compile_step(step, layout, abstract, shardings, batch)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        least = max(held, limit, refused(str(error)))
        return dataclasses.replace(result, needs=least, seconds=time.monotonic() - start_time)
    count = flops.count(functools.partial(step, axis=None), abstract, batch)
    result = _with_cost(result, layout, abstract, cast(_Compiled, compiled), count)
    return dataclasses.replace(
        result,
        fits=result.needs <= limit,
        seconds=time.monotonic() - start_time,
        program=result.program if keep else "",
    )


class _MemoryAnalysis(Protocol):
    """What XLA says of a compiled program's memory."""

    argument_size_in_bytes: int
    output_size_in_bytes: int
    alias_size_in_bytes: int
    temp_size_in_bytes: int


class _Compiled(Protocol):
    """The part of JAX's compiled programs that is used here."""

    def as_text(self) -> str: ...

    def memory_analysis(self) -> _MemoryAnalysis: ...


def _with_cost(
    result: Plan, layout: sharding.Layout, abstract: State, compiled: _Compiled, count: int
) -> Plan:
    """The plan with memory, traffic, collectives and time of the compiled step.

    Args:
        result: the plan without them.
        layout: the devices.
        abstract: the sharded state.
        compiled: the step.
        count: its FLOPs, over all devices.
    """
    memory, text, hardware = _memory(compiled), compiled.as_text(), result.topology.hardware
    program = hlo.parse(text)
    collectives = tuple(collectives_of(program, layout.mesh.shape))
    if hardware.kind == "tpu":
        coordinates = [device.coords for device in layout.mesh.devices.flat]
        collectives = tuple(roofline.placed(each, coordinates) for each in collectives)
    moved = traffic.moved(program)
    shared = layout.devices * (layout.mesh.shape["tensor"] if _split(abstract) else 1)
    estimate = roofline.estimate(
        hardware, count, shared, layout.mesh.size, moved, collectives, result.precision
    )
    return dataclasses.replace(
        result,
        needs=memory.peak,
        memory=memory,
        flops=count,
        bytes=moved,
        collectives=collectives,
        estimate=estimate,
        program=text,
    )


@contextlib.contextmanager
def _uncached() -> Iterator[None]:
    """Disables the compilation cache in the block, which is for programs of this machine."""
    name = "jax_enable_compilation_cache"
    before = getattr(jax.config, name)
    jax.config.update(name, False)
    try:
        yield
    finally:
        jax.config.update(name, before)


def _share(x: Tree) -> int:
    """The bytes of an array on one device."""
    return int(math.prod(x.sharding.shard_shape(x.shape))) * int(
        x.dtype.itemsize if hasattr(x.dtype, "itemsize") else 4
    )


def _split(abstract: State) -> bool:
    """Whether a parameter is sharded over `tensor`, so that these devices share the work."""
    return any("tensor" in str(x.sharding.spec) for x in jax.tree.leaves(abstract.params))


def _memory(compiled: _Compiled) -> Memory:
    result = compiled.memory_analysis()
    arguments, alias = int(result.argument_size_in_bytes), int(result.alias_size_in_bytes)
    return Memory(
        arguments, max(0, int(result.output_size_in_bytes) - alias), int(result.temp_size_in_bytes)
    )


def refused(message: str) -> int:
    """Reads from an error how many bytes a TPU's compiler has requested.

    Args:
        message: of the error.

    Returns:
        The bytes of the program, or of the one array that is too large; 0: the message names none.
    """
    array, found = _ARRAY.search(message), _REFUSED.search(message)
    if array:
        return int(array[1])
    return int(float(found[1]) * _UNITS[found[2]]) if found else 0
