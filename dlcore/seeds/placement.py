"""How several seeds are placed on the devices, vectorised over a leading seed axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import PartitionSpec as P

from dlcore.sharding import BATCH, Layout, Tree, layout


def over_seeds(count: int) -> Layout:
    """A layout whose rows are seeds: over as many devices as divide `count` seeds."""
    devices = jax.devices()
    return layout(
        "jit",
        "",
        devices[: max(n for n in range(1, min(len(devices), count) + 1) if count % n == 0)],
    )


def vectorised(
    f: Callable[..., Any],
    layout: Layout,
    *,
    shared: Sequence[int] = (),
    donate: bool = False,
    options: Any = None,
) -> Any:
    """`f` of one seed, vectorised: every argument and result gets a leading seed axis, but for the
    arguments `shared`.

    Each device computes its own seeds, and nothing is sent between devices. `vmap` computes them
    all at once; on CPU they are computed one after the other, which is faster there, as a seed's
    state stays in the core's cache, and gives every seed the bits that it has alone.
    """
    in_turns = (
        jax.custom_batching.sequential_vmap if jax.default_backend() == "cpu" else lambda one: one
    )

    def local(*args: Any) -> Any:
        own = [i for i in range(len(args)) if i not in shared]

        def one(*mine: Any) -> Any:
            given = dict(zip(own, mine, strict=True))
            return f(*(given.get(i, args[i]) for i in range(len(args))))

        return jax.vmap(in_turns(one))(*(args[i] for i in own))

    def run(*args: Any) -> Any:
        specs = tuple(P() if i in shared else BATCH for i in range(len(args)))
        return jax.shard_map(
            local, mesh=layout.mesh, in_specs=specs, out_specs=BATCH, check_vma=False
        )(*args)

    return jax.jit(run, donate_argnums=0 if donate else (), compiler_options=options)


def stacked(trees: Sequence[Tree], layout: Layout) -> Tree:
    """The trees of several seeds as one tree with a leading seed axis."""
    arrays = jax.tree.map(lambda *xs: np.stack(xs), *(jax.device_get(tree) for tree in trees))
    return jax.device_put(arrays, layout.rows)


def unstacked(tree: Tree, layout: Layout) -> list[Tree]:
    """The tree of each seed, on the one device of `layout`: the inverse of `stacked`."""
    host = jax.device_get(tree)
    count = len(jax.tree.leaves(host)[0])
    return [
        jax.device_put(jax.tree.map(lambda x, i=i: x[i], host), layout.everywhere)
        for i in range(count)
    ]
