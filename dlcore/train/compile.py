"""Compiles the training step for jit, shard_map or pmap."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from dlcore.sharding import _ROWS, BATCH, Layout, Tree

Step = Callable[..., tuple[Tree, Tree]]  # (state, batch, axis=...) -> (state, metrics)
Compiled = Callable[[Tree, Tree], tuple[Tree, Tree]]  # (state, batch) -> (state, metrics)
T = TypeVar("T")


def _with_row_layout(layout: Layout, step: Step) -> Step:
    """`step`, which is traced while `sharding.along_rows` knows the layout of the rows."""
    if layout.devices * layout.mesh.shape["tensor"] == layout.mesh.shape["data"]:
        return step

    @functools.wraps(step)
    def traced(*args: Tree, **kwargs: str | None) -> tuple[Tree, Tree]:
        token = _ROWS.set(layout)
        try:
            return step(*args, **kwargs)
        finally:
            _ROWS.reset(token)

    return traced


def compile_step(
    step: Step, layout: Layout, state: Tree, state_sharding: Tree, batch: Tree
) -> Compiled:
    """Compiles a training step ahead of time for jit, shard_map or pmap.

    Under jit XLA partitions one global program, and the step has `axis=None`. Under shard_map and
    pmap the step runs on each device's rows, with `axis="data"`, and sums over that axis itself.

    Args:
        step: (state, batch, axis=...) -> (state, metrics).
        layout: the devices; `layout.how` is "jit", "shard_map" or "pmap".
        state: abstract or real state.
        state_sharding: tree of shardings of the state; used under jit only, elsewhere the state is
            replicated.
        batch: abstract or real global batch, arrays [rows, ...].

    Returns:
        (state, batch) -> (state, metrics), of global arrays. Under jit and shard_map the buffers of
        the state are donated; pmap does not donate them, and holds the old and the new state.
    """
    if layout.how == "jit":
        jitted = jax.jit(
            functools.partial(_with_row_layout(layout, step), axis=None),
            in_shardings=(state_sharding, layout.rows),
            out_shardings=(state_sharding, layout.everywhere),
            donate_argnums=0,
        )
        return jitted.lower(state, batch).compile()
    local = functools.partial(step, axis="data")
    # check_vma=False: the step sums gradients itself, exactly as under pmap
    if layout.how == "shard_map":
        mapped = jax.shard_map(
            local, mesh=layout.mesh, in_specs=(P(), BATCH), out_specs=(P(), P()), check_vma=False
        )
        jitted = jax.jit(
            mapped,
            in_shardings=(layout.everywhere, layout.rows),
            out_shardings=(layout.everywhere, layout.everywhere),
            donate_argnums=0,
        )
        return jitted.lower(state, batch).compile()
    return _pmapped(local, layout, state, batch)


def _pmapped(local: Step, layout: Layout, state: Tree, batch: Tree) -> Compiled:
    """A pmapped step whose state has no device axis: checkpoints are those of jit and shard_map."""
    devices, mesh = list(layout.mesh.devices.flat), layout.mesh
    run = jax.pmap(local, axis_name="data", in_axes=(None, 0), out_axes=None, devices=devices)
    split = jax.jit(
        lambda batch: jax.tree.map(lambda x: x.reshape(len(devices), -1, *x.shape[1:]), batch),
        out_shardings=layout.rows,
    )

    def zeros(tree: T, sharding: NamedSharding) -> T:
        return jax.jit(
            lambda: jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), tree),
            out_shardings=sharding,
        )()

    shards = split(zeros(batch, layout.rows))
    # With several processes pmap is lowered for real arrays only: the rows of this process.
    if jax.process_count() > 1:
        state, shards = (
            zeros(state, layout.everywhere),
            multihost_utils.global_array_to_host_local_array(shards, mesh, BATCH),
        )
    # takes and returns global arrays, for any number of processes
    compiled = run.lower(state, shards).compile()

    def step(state: Tree, batch: Tree) -> tuple[Tree, Tree]:
        return jax.device_put(compiled(state, split(batch)), layout.everywhere)

    return step
