"""Losses that several experiments share: each makes a `step.Loss` from a function that runs the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax
from jax import Array

from dlcore.train.step import Batch, Extra, Loss, Out, Params, mean

# (params, extra, batch, key, train) -> (logits, extra)
Logits = Callable[[Params, Extra, Batch, Array | None, bool], tuple[Array, Any]]


def classification(logits: Logits, smoothing: float = 0.0) -> Loss:
    """Softmax cross-entropy of [batch, classes] logits against `label`, masked by `mask`; metric: accuracy.

    With `smoothing` s the target is (1 - s) one-hot + s / classes (Szegedy et al. 2016, eq. 9) in training only.
    """
    if not 0 <= smoothing < 1:
        raise ValueError(f"label smoothing {smoothing} is outside [0, 1)")

    def loss(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        y, extra = logits(params, extra, batch, key, train)
        y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
        right = mean(jnp.argmax(y, -1) == batch["label"], batch["mask"])
        xent = optax.softmax_cross_entropy_with_integer_labels(y, batch["label"])
        if train and smoothing:
            logp = y - jnp.max(y, -1, keepdims=True)
            logp = logp - jnp.log(jnp.sum(jnp.exp(logp), -1, keepdims=True))
            xent = (1 - smoothing) * xent - smoothing * logp.mean(-1)
        return Out(mean(xent, batch["mask"]), {"accuracy": right}, extra)

    return loss


def next_token(logits: Logits) -> Loss:
    """Cross-entropy in nats of [batch, length, vocabulary] logits against `targets`, weighted by `weight` and `mask`."""

    def loss(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        y, extra = logits(params, extra, batch, key, train)
        y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
        xent = optax.softmax_cross_entropy_with_integer_labels(y, batch["targets"])
        return Out(mean(xent, batch["weight"] * batch["mask"][:, None]), {}, extra)

    return loss
