"""Devices: the mesh, the layout of arrays, and how a step is parallelised."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Literal, TypeVar

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from dlcore.errors import UsageError

T = TypeVar("T")
Tree = Any  # a pytree of arrays, of their shapes or of their shardings
How = Literal["jit", "shard_map", "pmap"]
ParallelOption = Literal["auto", "jit", "shard_map", "pmap"]
Rules = Sequence[tuple[str, tuple[str | None, ...]]]
AXES = ("data", "fsdp", "tensor")
BATCH = P(("data", "fsdp"))
# parameters of stacked layers, over whose leading dimension a loop runs
STACKED = re.compile(r"(^|/)blocks/")
# parameters of experts, whose leading dimension, after that of stacked layers, is the expert
EXPERTS = re.compile(r"(^|/)experts/")


def mesh_shape(spec: str, devices: int) -> dict[str, int]:
    """Parses the sizes of the mesh axes.

    Args:
        spec: `data=4,fsdp=2` for example; "" puts all devices on `data`. An axis that is not named
            has size 1.
        devices: the number of devices.

    Returns:
        {axis: size} of all `AXES` ("data", "fsdp", "tensor"), in their order.

    Raises:
        UsageError: the spec is malformed or names an axis twice, or the sizes do not multiply to
            `devices`.
    """
    shape = dict.fromkeys(AXES, 1)
    if not spec:
        return shape | {"data": devices}
    named: set[str] = set()
    for part in spec.split(","):
        axis, _, size = part.strip().partition("=")
        if axis not in AXES or axis in named or not size.isdecimal() or int(size) < 1:
            problem = f"names {axis} again" if axis in named else "is not an axis and a size"
            raise UsageError(
                f"--mesh {spec!r}: {part!r} {problem}; write for example data=4,fsdp=2,tensor=1"
            )
        named.add(axis)
        shape[axis] = int(size)
    if np.prod(list(shape.values())) != devices:
        product = "*".join(map(str, shape.values()))
        raise UsageError(
            f"--mesh {spec!r} needs {product} = {np.prod(list(shape.values()))} devices, but there"
            f" are {devices}; give sizes that multiply to {devices}, or leave --mesh out (on CPU,"
            " JAX_NUM_CPU_DEVICES=N simulates N devices)"
        )
    return shape


@dataclasses.dataclass(frozen=True)
class Layout:
    """The mesh, and how the step runs on it.

    Attributes:
        mesh: the devices, with the axes `AXES`. A batch is sharded over `data` and `fsdp`.
        how: the transformation by which the step is parallelised: "jit", "shard_map" or "pmap".
    """

    mesh: Mesh
    how: How = "jit"

    @property
    def devices(self) -> int:
        """The number of parts into which a batch is divided: the size of `data` times `fsdp`."""
        return int(self.mesh.shape["data"] * self.mesh.shape["fsdp"])

    @property
    def everywhere(self) -> NamedSharding:
        """The sharding of replicated arrays."""
        return NamedSharding(self.mesh, P())

    @property
    def rows(self) -> NamedSharding:
        """The sharding along the first axis, the batch."""
        return NamedSharding(self.mesh, BATCH)

    def local_rows(self, batch: int) -> np.ndarray:
        """Returns the rows of a global batch that this process holds, int [n], ascending."""
        held = self.rows.addressable_devices_indices_map((batch,))
        return np.unique(np.concatenate([np.arange(batch)[index] for index in held.values()]))

    def put(self, batch: Mapping[str, np.ndarray], size: int) -> Tree:
        """Puts a process's rows of a batch on the devices.

        Args:
            batch: {field: array [local rows, ...]}.
            size: number of rows of the global batch.

        Returns:
            {field: global array [size, ...]}, sharded along the rows.
        """
        if jax.process_count() == 1:
            return jax.device_put(dict(batch), self.rows)
        return {
            name: jax.make_array_from_process_local_data(self.rows, x, (size, *x.shape[1:]))
            for name, x in batch.items()
        }

    def share(self, batch: Mapping[str, np.ndarray]) -> Tree:
        """Puts the same arrays on every device."""
        return jax.device_put(dict(batch), self.everywhere)


def layout(how: ParallelOption, spec: str, devices: Sequence[jax.Device] | None = None) -> Layout:
    """Makes the layout of `--parallel` and `--mesh`.

    Args:
        how: the parallelisation. "auto" is shard_map on several CPU devices that are all on the
            axis `data`, else jit.
        spec: the sizes of the mesh axes, see `mesh_shape`.
        devices: the devices; None: all devices of all processes.

    Returns:
        The layout.

    Raises:
        UsageError: `spec` is malformed or does not fit the number of devices, or shards the state
            under shard_map or pmap.
    """
    devices = list(jax.devices() if devices is None else devices)
    shape = mesh_shape(spec, len(devices))
    if how == "auto":
        # On CPU shard_map is faster: XLA's partitioner sums each array separately. And the order of
        # its sums depends on the number of processes, which that of `device_sum` does not.
        how = (
            "shard_map"
            if devices[0].platform == "cpu" and shape["data"] == len(devices) > 1
            else "jit"
        )
    elif how != "jit" and (shape["fsdp"] > 1 or shape["tensor"] > 1):
        raise UsageError(
            f"--parallel {how} replicates the state: fsdp and tensor in --mesh {spec!r} need"
            " --parallel jit"
        )
    # Auto axes: the compiler shards intermediate values. Explicit ones, make_mesh's default, break
    # nn.Embed. make_mesh also refuses an axis that is part of a dimension of a TPU's torus, such as
    # tensor=2 of v5p:4x4x4.
    placed = mesh_utils.create_device_mesh(
        tuple(shape.values()), devices, allow_split_physical_axes=True
    )
    return Layout(Mesh(placed, AXES, axis_types=(AxisType.Auto,) * len(AXES)), how)


def check_batch(batch: int, layout: Layout, microbatches: int) -> None:
    """Checks that devices times microbatches divide the batch.

    Args:
        batch: number of examples per step, over all devices.
        layout: the layout; its devices are those that divide a batch.
        microbatches: number of microbatches.

    Raises:
        UsageError: devices times microbatches do not divide the batch (the message offers one that
            they divide), or `batch` or `microbatches` is below 1.
    """
    parts = layout.devices * microbatches
    if microbatches < 1 or batch < 1:
        raise UsageError(
            f"--batch {batch} and --microbatches {microbatches}: both must be at least 1"
        )
    if batch % parts:
        near = max(parts, round(batch / parts) * parts)
        raise UsageError(
            f"--batch {batch} does not divide by {layout.devices} devices times {microbatches}"
            f" microbatches = {parts}; try --batch {near}"
        )


def sharding(layout: Layout, tree: Tree, rules: Rules = ()) -> Tree:
    """Assigns a NamedSharding to every leaf of a state.

    Leaves outside `params` and `opt` are replicated. For the others the first rule that matches
    assigns axes to dimensions that they divide. Where no rule assigns `fsdp`, this axis takes
    the largest free dimension that it divides, except that of stacked layers, since every device
    needs each layer in turn. The paths of optimizer moments contain that of their parameter, so
    that a rule applies to both.

    Args:
        layout: the layout.
        tree: the state, or its shapes.
        rules: (regular expression, mesh axis of each dimension or None); a rule matches where the
            expression occurs in the path of a leaf with as many dimensions.

    Returns:
        A tree of NamedShardings, of the structure of `tree`.
    """

    def leaf(path: jax.tree_util.KeyPath, x: jax.Array) -> NamedSharding:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if not re.match(r"(params|opt)\b", name):
            return layout.everywhere
        axes: list[str | None] = [None] * len(x.shape)
        for pattern, axes_of_rule in rules:
            if len(axes_of_rule) == len(x.shape) and re.search(pattern, name):
                axes = [
                    a if a and x.shape[i] % layout.mesh.shape[a] == 0 else None
                    for i, a in enumerate(axes_of_rule)
                ]
                break
        size = layout.mesh.shape["fsdp"]
        inner = range(1 if STACKED.search(name) else 0, len(axes))
        free = [
            i for i in inner if axes[i] is None and x.shape[i] % size == 0 and x.shape[i] >= size
        ]
        if size > 1 and free and "fsdp" not in axes:
            axes[max(free, key=lambda i: x.shape[i])] = "fsdp"
        return NamedSharding(layout.mesh, P(*axes))

    return jax.tree_util.tree_map_with_path(leaf, tree)


# The layout of the step that is being traced; None where only the batch is sharded, and no
# constraint is needed.
_ROWS: ContextVar[Layout | None] = ContextVar("rows", default=None)
# The number of microbatches of the gradient that is being traced.
MICROBATCHES: ContextVar[int] = ContextVar("microbatches", default=1)


def check_whole_batch(cause: str, way_out: str) -> None:
    """Checks that the gradient being traced, if any, is not computed in microbatches.

    Args:
        cause, way_out: what needs the rows of the whole batch, and what to do, for the message.

    Raises:
        UsageError: it is, and only the rows of a microbatch are there.
    """
    if (count := MICROBATCHES.get()) > 1:
        raise UsageError(f"--microbatches {count}: {cause}; leave it out, {way_out}")


def along_rows(x: jax.Array, rest: bool = True) -> jax.Array:
    """Constrains an activation to be sharded along its batch axis.

    Without it the compiler may leave a sharded matrix where it is, and send the activations of all
    rows to it. Models apply it at the start of each block. It has no effect outside a training
    step, or where the state is replicated.

    Args:
        x: [batch, ...].
        rest: whether all other axes are replicated; False leaves them to the compiler.

    Returns:
        x.
    """
    layout = _ROWS.get()
    if layout is None:
        return x
    others = (None if rest else P.UNCONSTRAINED,) * (x.ndim - 1)
    return jax.lax.with_sharding_constraint(x, NamedSharding(layout.mesh, P(*BATCH, *others)))


def along_experts(x: jax.Array) -> jax.Array:
    """Constrains the inputs or outputs of experts to the devices of their experts.

    The axis of experts is sharded over `fsdp`, and the batch axis over `data`. Between this and
    `along_rows` tokens change devices (an all-to-all), and the experts stay. It has no effect where
    `along_rows` has none; where `fsdp` does not divide the number of experts, tokens stay with
    their rows, and experts are gathered as other parameters are.

    Args:
        x: [experts, batch, ...].

    Returns:
        x.
    """
    layout = _ROWS.get()
    if layout is None:
        return x
    divided = x.shape[0] % layout.mesh.shape["fsdp"] == 0
    axes = ("fsdp", "data") if divided else (None, *BATCH)
    spec = P(*axes, *(None,) * (x.ndim - 2))
    return jax.lax.with_sharding_constraint(x, NamedSharding(layout.mesh, spec))


def gathered(x: jax.Array, axes: Sequence[str | None]) -> jax.Array:
    """Constrains a parameter to be replicated, except along the dimensions with a mesh axis.

    For embedding tables: otherwise the compiler may send activations and gradients of all rows to
    the shards of the table. Like `along_rows`, it has no effect outside a training step, or where
    the state is replicated.

    Args:
        x: the parameter.
        axes: for each dimension the mesh axis along which it stays sharded, or None: replicated. A
            dimension that is no multiple of its axis's number of devices is replicated as well.

    Returns:
        x.
    """
    layout = _ROWS.get()
    if layout is None:
        return x
    spec = [
        axis if axis and x.shape[i] % layout.mesh.shape[axis] == 0 else None
        for i, axis in enumerate(axes)
    ]
    return jax.lax.with_sharding_constraint(x, NamedSharding(layout.mesh, P(*spec)))


def replicated(sharding: T) -> T | NamedSharding:
    """Returns the replicated sharding on the mesh of a NamedSharding; other objects unchanged."""
    return NamedSharding(sharding.mesh, P()) if isinstance(sharding, NamedSharding) else sharding


def to_host(tree: Tree) -> Tree:
    """Copies a tree of arrays to this host as NumPy arrays.

    Where an array is sharded over processes, all processes have to call it, and each gets the
    whole array.

    Returns:
        A tree of NumPy arrays of the same structure.
    """
    if all(
        getattr(x, "is_fully_addressable", True) or x.is_fully_replicated
        for x in jax.tree.leaves(tree)
    ):
        return jax.device_get(tree)
    whole = next(
        replicated(x.sharding)
        for x in jax.tree.leaves(tree)
        if isinstance(x.sharding, NamedSharding)
    )
    gather = jax.jit(lambda t: t, out_shardings=whole)
    return jax.device_get(gather(tree))
