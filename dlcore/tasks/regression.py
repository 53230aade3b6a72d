"""Regression."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from dlcore.train.model import Logits
from dlcore.train.step import Batch, Extra, Loss, Out, Params, mean


def regression(output: Logits) -> Loss:
    """Squared error of [batch] outputs against `target`, masked by `mask`."""

    def loss(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        y, extra = output(params, extra, batch, key, train)
        wide = jnp.promote_types(y.dtype, jnp.float32)
        return Out(mean((y.astype(wide) - batch["target"].astype(wide)) ** 2, batch["mask"]), {}, extra)

    return loss
