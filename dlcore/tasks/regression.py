"""The loss of regression."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from dlcore.kernels import regression as kernels
from dlcore.train.model import Logits
from dlcore.train.step import Batch, Extra, Loss, Out, Params, mean


def loss(model: Logits, huber: float = 0.0) -> Loss:
    """Returns the mean squared error or Huber loss, weighted by `mask`, in float32 or wider.

    Args:
        model: computes outputs [batch] of a batch with `target`, float [batch], and `mask`, float
            [batch], the examples' weights.
        huber: the error from which the loss is linear (`kernels.regression.huber`), so that few
            large errors count less; 0: squared error.
    """

    def squared_error(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        y, extra = model(params, extra, batch, key, train)
        acc_dtype = jnp.promote_types(y.dtype, jnp.float32)
        error = y.astype(acc_dtype) - batch["target"].astype(acc_dtype)
        each = kernels.huber(error, huber) if huber else error**2
        return Out(mean(each, batch["mask"]), {}, extra)

    return squared_error
