"""The compiled training step, by jit, shard_map or pmap."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from dlcore.sharding import _ROWS, BATCH, Layout, Tree


def _along(layout: Layout, step: Callable[..., Any]) -> Callable[..., Any]:
    """`step`, with `along_rows` told where the rows lie while it is traced."""
    if layout.devices * layout.mesh.shape["tensor"] == layout.mesh.shape["data"]:
        return step

    @functools.wraps(step)
    def traced(*args: Any, **kwargs: Any) -> Any:
        token = _ROWS.set(layout)
        try:
            return step(*args, **kwargs)
        finally:
            _ROWS.reset(token)

    return traced


def compile_step(
    step: Callable[..., Any], layout: Layout, state: Tree, state_sharding: Tree, batch: Tree
) -> Callable[..., Any]:
    """`step(state, batch, axis=...) -> (state, report)`, compiled ahead of time; the old state's
    memory is given to the new one.

    jit lets XLA partition one global program; shard_map and pmap run the step per device, which
    then sums over `axis` itself.
    """
    if layout.how == "jit":
        run = jax.jit(
            functools.partial(_along(layout, step), axis=None),
            in_shardings=(state_sharding, layout.rows),
            out_shardings=(state_sharding, layout.everywhere),
            donate_argnums=0,
        )
        return run.lower(state, batch).compile()
    local = functools.partial(step, axis="data")
    # check_vma=False: the step sums gradients itself, exactly as under pmap
    if layout.how == "shard_map":
        mapped = jax.shard_map(
            local, mesh=layout.mesh, in_specs=(P(), BATCH), out_specs=(P(), P()), check_vma=False
        )
        run = jax.jit(
            mapped,
            in_shardings=(layout.everywhere, layout.rows),
            out_shardings=(layout.everywhere, layout.everywhere),
            donate_argnums=0,
        )
        return run.lower(state, batch).compile()
    return _pmapped(local, layout, state, batch)


def _pmapped(
    local: Callable[..., Any], layout: Layout, state: Tree, batch: Tree
) -> Callable[..., Any]:
    """pmap of a step over the replicated state: no leading device axis, so that a checkpoint does
    not know how it was made.
    """
    devices, mesh = list(layout.mesh.devices.flat), layout.mesh
    run = jax.pmap(local, axis_name="data", in_axes=(None, 0), out_axes=None, devices=devices)
    split = jax.jit(
        lambda batch: jax.tree.map(lambda x: x.reshape(len(devices), -1, *x.shape[1:]), batch),
        out_shardings=layout.rows,
    )

    def zeros(tree: Tree, where: NamedSharding) -> Tree:
        return jax.jit(
            lambda: jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), tree), out_shardings=where
        )()

    parts = split(zeros(batch, layout.rows))
    # then pmap lowers only what is real, as the parts that a process holds
    if jax.process_count() > 1:
        state, parts = (
            zeros(state, layout.everywhere),
            multihost_utils.global_array_to_host_local_array(parts, mesh, BATCH),
        )
    # takes and returns global arrays, for any number of processes
    compiled = run.lower(state, parts).compile()

    def step(state: Tree, batch: Tree) -> Tree:
        return jax.device_put(compiled(state, split(batch)), layout.everywhere)

    return step
