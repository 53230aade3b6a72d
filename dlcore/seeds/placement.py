"""Several seeds on the devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import PartitionSpec as P

from dlcore.sharding import BATCH, Layout, Tree, layout


def lanes(count: int) -> Layout:
    """As many devices as divide `count` runs, which lie side by side: the rows of this layout are runs."""
    devices = jax.devices()
    return layout("jit", "", devices[: max(n for n in range(1, min(len(devices), count) + 1) if count % n == 0)])


def over_lanes(
    f: Callable[..., Any], layout: Layout, *, shared: Sequence[int] = (), donate: bool = False, options: Any = None
) -> Any:
    """`f` of one run as a program of runs: every argument and result has an axis of runs in front, but for the arguments `shared`.

    Each device has its own runs and sends nothing. `vmap` computes them all at once; on CPU it is told to take them in turns,
    which is faster there, as a run's state stays in the core's cache, and leaves every run the bits that it has alone.
    """
    in_turns = jax.custom_batching.sequential_vmap if jax.default_backend() == "cpu" else lambda one: one

    def local(*args: Any) -> Any:
        own = [i for i in range(len(args)) if i not in shared]

        def one(*mine: Any) -> Any:
            given = dict(zip(own, mine, strict=True))
            return f(*(given.get(i, args[i]) for i in range(len(args))))

        return jax.vmap(in_turns(one))(*(args[i] for i in own))

    def run(*args: Any) -> Any:
        specs = tuple(P() if i in shared else BATCH for i in range(len(args)))
        return jax.shard_map(local, mesh=layout.mesh, in_specs=specs, out_specs=BATCH, check_vma=False)(*args)

    return jax.jit(run, donate_argnums=0 if donate else (), compiler_options=options)


def side_by_side(trees: Sequence[Tree], layout: Layout) -> Tree:
    """Runs' trees as one, with an axis of runs in front."""
    stacked = jax.tree.map(lambda *xs: np.stack(xs), *(jax.device_get(tree) for tree in trees))
    return jax.device_put(stacked, layout.rows)


def apart(tree: Tree, layout: Layout) -> list[Tree]:
    """Each run's own part of what lies side by side, on the one device of `layout`."""
    host = jax.device_get(tree)
    count = len(jax.tree.leaves(host)[0])
    return [jax.device_put(jax.tree.map(lambda x, i=i: x[i], host), layout.everywhere) for i in range(count)]
