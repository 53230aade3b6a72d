"""A function applied to many examples in batches of one size."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import numpy as np
from jax import Array
from jaxtyping import Shaped

from dlcore.data.source import Batch, Source
from dlcore.data.stream import in_order


def over(
    f: Callable[..., Array], *inputs: Shaped[np.ndarray, "n ..."], batch: int = 500
) -> Shaped[np.ndarray, "n ..."]:
    """Applies a function to all examples, in batches, through one compiled program.

    Args:
        f: arrays [batch, ...] -> array [batch, ...]; must treat every row by itself, since the
            last batch is padded with copies of its first row.
        inputs: arrays [N, ...] on the host, the arguments of f; N is at least 1.
        batch: number of rows of a batch at most; fewer examples are one batch of their own size.

    Returns:
        f(*inputs), [N, ...], on the host.

    Raises:
        ValueError: there are no examples.
    """
    compiled, outputs = jax.jit(f), []
    batch = min(batch, max(1, len(inputs[0])))
    for start in range(0, len(inputs[0]), batch):
        rows = [array[start : start + batch] for array in inputs]
        missing = batch - len(rows[0])
        padded = [
            np.concatenate([array, np.repeat(array[:1], missing, 0)]) if missing else array
            for array in rows
        ]
        outputs.append(np.asarray(compiled(*padded))[: len(rows[0])])
    return np.concatenate(outputs)


def over_source(
    f: Callable[[Batch], Mapping[str, Array | np.ndarray]], source: Source, batch: int
) -> dict[str, np.ndarray]:
    """Applies a function to all examples of a source, in batches of one size.

    Args:
        f: batch, with `row` and `mask` -> {name: array [batch, ...]}; must treat every row by
            itself, since the last batch is padded with copies of the first example.
        source: at least one example.
        batch: number of examples of each batch, also where the source has fewer: results of one
            program have the same bits whatever the number of examples.

    Returns:
        {name: array [N, ...]} on the host, in the order of the source.
    """
    chunks = list[dict[str, np.ndarray]]()
    for rows in in_order(source, batch, np.arange(batch)):
        counts = rows["mask"] > 0
        chunks.append({name: np.asarray(array)[counts] for name, array in f(rows).items()})
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
