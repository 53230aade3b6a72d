"""The rows of all devices, for losses that compare the examples of a batch with one another."""

from __future__ import annotations

import jax
from jax import Array

from dlcore.sharding import check_whole_batch


def all_rows(x: Array) -> Array:
    """Gathers the rows of a batch from all devices, in the order of the batch.

    For losses whose rows depend on each other (contrastive losses, ranking). Under jit a batch is
    global already, and `x` is returned. Under shard_map and pmap each device computes the loss of
    its own rows against all rows; the gradient that reaches a row through the losses of other
    devices is summed, so that parameters are the same for any number of devices.

    Args:
        x: this device's rows [rows, ...].

    Returns:
        All rows of the batch [batch, ...].

    Raises:
        UsageError: the batch is divided into microbatches, which do not see each other's rows.
    """
    check_whole_batch(
        "the loss of this experiment compares the examples of a batch with one another, and would"
        " see those of a microbatch only",
        "and use more devices or a smaller --batch",
    )
    mesh = jax.sharding.get_abstract_mesh()
    if "data" not in mesh.manual_axes:
        return x
    return jax.lax.all_gather(x, "data", tiled=True)
