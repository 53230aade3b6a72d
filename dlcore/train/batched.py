"""A function of arrays applied to many examples in batches of one size."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np
from jax import Array
from jaxtyping import Shaped


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
