"""Places several seeds on the devices, vectorised over a leading seed axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np
from jax.sharding import PartitionSpec as P

from dlcore.sharding import BATCH, Layout, Tree, layout


def over_seeds(count: int) -> Layout:
    """Returns a layout whose rows are seeds, over the largest number of devices dividing `count`.

    Args:
        count: number of seeds.
    """
    devices = jax.devices()
    return layout(
        "jit",
        "",
        devices[: max(n for n in range(1, min(len(devices), count) + 1) if count % n == 0)],
    )


def vectorised(
    f: Callable[..., Tree],
    layout: Layout,
    *,
    shared: Sequence[int] = (),
    donate: bool = False,
    options: Mapping[str, bool | int | str] | None = None,
) -> jax.stages.Wrapped:
    """Returns a jitted function that applies `f` to each seed.

    Each device computes its own seeds without communication, on CPU one after the other: this is
    faster, since the state of a seed stays in the cache of its core, and each seed gets the same
    bits as in a run of its own. Other devices use `vmap`.

    Args:
        f: the function of one seed.
        layout: the layout over the seeds, see `over_seeds`.
        shared: indices of the arguments that all seeds share.
        donate: whether the buffers of the first argument are donated.
        options: XLA's compiler options; None: the defaults.

    Returns:
        The function; its arguments that are not shared, and its results, are trees of arrays with a
        leading seed axis.
    """
    in_turns = (
        jax.custom_batching.sequential_vmap if jax.default_backend() == "cpu" else lambda one: one
    )

    def local(*args: Tree) -> Tree:
        own = [i for i in range(len(args)) if i not in shared]

        def one(*mine: Tree) -> Tree:
            given = dict(zip(own, mine, strict=True))
            return f(*(given.get(i, args[i]) for i in range(len(args))))

        return jax.vmap(in_turns(one))(*(args[i] for i in own))

    def run(*args: Tree) -> Tree:
        specs = tuple(P() if i in shared else BATCH for i in range(len(args)))
        return jax.shard_map(
            local, mesh=layout.mesh, in_specs=specs, out_specs=BATCH, check_vma=False
        )(*args)

    return jax.jit(
        run,
        donate_argnums=0 if donate else (),
        compiler_options=None if options is None else dict(options),
    )


def stacked(trees: Sequence[Tree], layout: Layout) -> Tree:
    """Stacks the trees of several seeds into one tree of arrays [seeds, ...], through the host.

    Args:
        trees: of the same structure and shapes.
        layout: the layout over the seeds, by which the result is sharded.
    """
    arrays = jax.tree.map(lambda *xs: np.stack(xs), *(jax.device_get(tree) for tree in trees))
    return jax.device_put(arrays, layout.rows)


def unstacked(tree: Tree, layout: Layout) -> list[Tree]:
    """Splits a tree of arrays [seeds, ...] into the tree of each seed: the inverse of `stacked`.

    Args:
        tree: with a leading seed axis.
        layout: the layout of one seed, over whose devices the results are replicated.
    """
    host = jax.device_get(tree)
    count = len(jax.tree.leaves(host)[0])
    return [
        jax.device_put(jax.tree.map(lambda x, i=i: x[i], host), layout.everywhere)
        for i in range(count)
    ]
