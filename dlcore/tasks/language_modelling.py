"""Language modelling: the loss of the next token."""

from __future__ import annotations

import math

import jax.numpy as jnp
import optax
from jax import Array

from dlcore.data.checks import index_below
from dlcore.train.model import Logits
from dlcore.train.step import Batch, Extra, Loss, Mean, Out, Params, mean


def next_token(logits: Logits, smoothing: float = 0.0) -> Loss:
    """Cross-entropy in nats of [batch, length, vocabulary] logits against `targets`, weighted by `weight` and `mask`.

    `smoothing` as in `classification`: in training only. Where a batch says how many `bytes` each target stands for, metric:
    bits_per_byte, which compares vocabularies of any size.
    """
    if not 0 <= smoothing < 1:
        raise ValueError(f"label smoothing {smoothing} is outside [0, 1)")

    def loss(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        y, extra = logits(params, extra, batch, key, train)
        y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
        index_below("targets", y.shape[-1], weight="weight")
        xent = optax.softmax_cross_entropy_with_integer_labels(y, batch["targets"])
        metrics = {}
        if "bytes" in batch:
            where = batch["weight"] * batch["mask"][:, None]
            metrics["bits_per_byte"] = Mean(mean(xent, where).total / math.log(2), mean(batch["bytes"], where).total)
        if train and smoothing:  # a share of the mass moves from the target's logit to the mean of all
            right = jnp.take_along_axis(y, batch["targets"][..., None], -1)[..., 0]
            xent = xent + smoothing * (right - y.mean(-1))
        return Out(mean(xent, batch["weight"] * batch["mask"][:, None]), metrics, extra)

    return loss
