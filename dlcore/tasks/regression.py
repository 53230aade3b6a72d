"""The loss of regression."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from dlcore.train.model import Logits
from dlcore.train.step import Batch, Extra, Loss, Out, Params, mean


def loss(model: Logits) -> Loss:
    """Returns the mean squared error, weighted by `mask` and computed in float32 or wider.

    Args:
        model: computes outputs [batch] of a batch with `target`, float [batch], and `mask`, float
            [batch], the examples' weights.
    """

    def squared_error(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        y, extra = model(params, extra, batch, key, train)
        acc_dtype = jnp.promote_types(y.dtype, jnp.float32)
        return Out(
            mean((y.astype(acc_dtype) - batch["target"].astype(acc_dtype)) ** 2, batch["mask"]),
            {},
            extra,
        )

    return squared_error
