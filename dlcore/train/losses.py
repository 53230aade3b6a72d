"""Losses that several experiments share: each makes a `step.Loss` from a function that runs the model."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax
from jax import Array

from dlcore.data.checks import index_below
from dlcore.train.step import Batch, Extra, Loss, Mean, Out, Params, mean

# (params, extra, batch, key, train) -> (logits, extra)
Logits = Callable[[Params, Extra, Batch, Array | None, bool], tuple[Array, Any]]


def classification(logits: Logits, smoothing: float = 0.0) -> Loss:
    """Softmax cross-entropy of [batch, classes] logits against `label`, masked by `mask`; metric: accuracy.

    With `smoothing` s the target is (1 - s) one-hot + s / classes (Szegedy et al. 2016, eq. 9) in training only. Where a batch has
    a `share` (mixup, cutmix), so much of the target is `label`, and the rest `partner_label`.
    """
    if not 0 <= smoothing < 1:
        raise ValueError(f"label smoothing {smoothing} is outside [0, 1)")

    def loss(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        y, extra = logits(params, extra, batch, key, train)
        y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
        index_below("label", y.shape[-1])
        right = mean(jnp.argmax(y, -1) == batch["label"], batch["mask"])
        xent = optax.softmax_cross_entropy_with_integer_labels(y, batch["label"])
        if "share" in batch:
            other = optax.softmax_cross_entropy_with_integer_labels(y, batch["partner_label"])
            xent = other + batch["share"] * (xent - other)
        if train and smoothing:
            logp = y - jnp.max(y, -1, keepdims=True)
            logp = logp - jnp.log(jnp.sum(jnp.exp(logp), -1, keepdims=True))
            xent = (1 - smoothing) * xent - smoothing * logp.mean(-1)
        return Out(mean(xent, batch["mask"]), {"accuracy": right}, extra)

    return loss


def augmented(loss: Loss, change: Callable[[Batch, Array], Batch]) -> Loss:
    """`loss` on what `change(batch, key)` makes of a batch in training, and on the batch itself in evaluation."""

    def on_changed(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        return loss(params, extra, change(batch, key) if train else batch, key, train)

    return on_changed


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


def regression(output: Logits) -> Loss:
    """Squared error of [batch] outputs against `target`, masked by `mask`."""

    def loss(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        y, extra = output(params, extra, batch, key, train)
        wide = jnp.promote_types(y.dtype, jnp.float32)
        return Out(mean((y.astype(wide) - batch["target"].astype(wide)) ** 2, batch["mask"]), {}, extra)

    return loss
