"""Cross-entropy of a linear layer with 50,000 classes, with gradients: 2,048 rows of 128."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

LIMITS = {"flax": 1.1}
CPU_DEVICES = 1


class Size(NamedTuple):
    """Sizes: width of a row, classes, rows."""

    width: int = 128
    vocabulary: int = 50_000
    batch: int = 2048


FULL, TINY = Size(), Size(8, 11, 8)


def given(size: Size) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws rows [batch, width], their classes [batch], and the layer's table [classes, width]."""
    rng = np.random.default_rng(0)
    hidden, table = (
        rng.normal(size=(n, size.width)).astype(np.float32) for n in (size.batch, size.vocabulary)
    )
    return hidden, rng.integers(0, size.vocabulary, size.batch).astype(np.int32), 0.1 * table


def dlcore(size: Size) -> Any:
    """`kernels.cross_entropy.linear_cross_entropy`, which computes logits in chunks."""
    import jax.numpy as jnp

    from dlcore.kernels.cross_entropy import linear_cross_entropy
    from tests.benchmarks import ours

    def loss(hidden: Any, targets: Any, table: Any) -> Any:
        return linear_cross_entropy(hidden, table, targets, jnp.ones(len(hidden))) / len(hidden)

    hidden, targets, table = given(size)
    return ours.slope(loss, hidden, targets, shared=table)


def flax(size: Size) -> Any:
    """Returns the step with `optax.softmax_cross_entropy_with_integer_labels` of a product."""
    import optax

    from tests.benchmarks import flaxed

    def loss(hidden: Any, targets: Any, table: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(hidden @ table.T, targets).mean()

    hidden, targets, table = given(size)
    return flaxed.slope(loss, hidden, targets, shared=table)


def torch(size: Size) -> Any:
    """Returns the step with `F.cross_entropy` of `F.linear`, eager."""
    import torch as pt
    from torch.nn import functional as f

    from tests.benchmarks import torched

    hidden, targets, table = (pt.tensor(x) for x in given(size))
    own, labels = table.requires_grad_(), targets.long()
    return torched.slope(lambda x: f.cross_entropy(f.linear(x, own), labels), hidden, own)
