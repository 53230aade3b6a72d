"""Losses of semantic segmentation: one class per pixel, where pixels may be ignored.

A label outside 0 to classes - 1 means that a pixel is ignored. All losses are per pixel or per
example, so that their sums are the same for any number of devices and microbatches.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer


def weighted_cross_entropy(
    logits: Float[Array, "batch h w classes"],
    labels: Integer[Array, "batch h w"],
    weights: Float[Array, " classes"],
) -> Float[Array, "batch h w"]:
    """Computes each pixel's softmax cross-entropy in nats, times the weight of its class.

    Args:
        logits: [batch, h, w, classes], floating.
        labels: classes [batch, h, w], integers; outside 0 to classes - 1: the pixel is ignored.
        weights: weight of each class [classes], at least 0.

    Returns:
        [batch, h, w], float32 or wider; 0 for an ignored pixel. For the weighted mean, divide the
        sum by the sum of `pixel_weights`.
    """
    upcast = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    target = jnp.clip(labels, 0, logits.shape[-1] - 1)
    of_label = jnp.take_along_axis(upcast, target[..., None], -1)[..., 0]
    xent = jax.nn.logsumexp(upcast, -1) - of_label
    weight = pixel_weights(labels, weights).astype(upcast.dtype)
    return jnp.where(weight > 0, xent, 0) * weight


def pixel_weights(
    labels: Integer[Array, "batch h w"], weights: Float[Array, " classes"]
) -> Float[Array, "batch h w"]:
    """Looks up the weight of each pixel's class; 0 for an ignored pixel.

    Args:
        labels: classes [batch, h, w], integers; outside 0 to classes - 1: the pixel is ignored.
        weights: weight of each class [classes].

    Returns:
        [batch, h, w], dtype of `weights`.
    """
    classes = weights.shape[0]
    counted = (labels >= 0) & (labels < classes)
    return jnp.where(counted, weights[jnp.clip(labels, 0, classes - 1)], 0).astype(weights.dtype)


def dice_loss(
    probabilities: Float[Array, "batch h w classes"], labels: Integer[Array, "batch h w"]
) -> Float[Array, " batch"]:
    """Soft Dice loss: 1 - mean over the classes of an example of 2 sum(p y) / (sum(p) + sum(y)).

    Args:
        probabilities: p [batch, h, w, classes], floating; y is one-hot.
        labels: classes [batch, h, w], integers; outside 0 to classes - 1: the pixel is ignored.

    Returns:
        [batch], float32 or wider: over the classes that occur in an example; 0 where none does.

    Source: Sudre et al. 2017, eq. 3, without class weights.
    """
    p, true, counted = _of_classes(probabilities, labels)
    p = jnp.where(counted[..., None], p, 0)
    overlap, size = (p * true).sum((1, 2)), (p + true).sum((1, 2))
    occurs = true.sum((1, 2)) > 0
    dice = jnp.where(occurs, 2 * overlap / jnp.where(occurs, size, 1), 0)
    return _mean_over(1 - dice, occurs)


def lovasz_softmax(
    probabilities: Float[Array, "batch h w classes"], labels: Integer[Array, "batch h w"]
) -> Float[Array, " batch"]:
    """Lovász-softmax loss: the convex closure of 1 - IoU, averaged over the classes of an example.

    Args:
        probabilities: [batch, h, w, classes], floating.
        labels: classes [batch, h, w], integers; outside 0 to classes - 1: the pixel is ignored.

    Returns:
        [batch], float32 or wider: over the classes that occur in an example; 0 where none does.

    Source: Berman et al. 2018, eqs. 8, 9 and 13, with the gradient of its algorithm 1.
    """
    p, true, counted = _of_classes(probabilities, labels)
    batch, _, _, classes = p.shape
    # an ignored pixel has error 0: it comes last, where the terms are 0
    error = jnp.where(counted[..., None], jnp.abs(true - p), 0)
    error, true = (x.reshape(batch, -1, classes).swapaxes(1, 2) for x in (error, true))
    negated, true = jax.lax.sort((-error, jax.lax.stop_gradient(true)), num_keys=1)
    total = true.sum(-1, keepdims=True)
    missed = jnp.cumsum(true, -1)
    wrongly = jnp.cumsum(1 - true, -1)
    jaccard = 1 - (total - missed) / jnp.maximum(total + wrongly, 1)
    step = jnp.diff(jaccard, axis=-1, prepend=0)
    return _mean_over((-negated * step).sum(-1), total[..., 0] > 0)


def _of_classes(probabilities: Array, labels: Array) -> tuple[Array, Array, Array]:
    """Probabilities and one-hot labels, float32 or wider, and which pixels count [batch, h, w]."""
    p = probabilities.astype(jnp.promote_types(probabilities.dtype, jnp.float32))
    classes = p.shape[-1]
    return (
        p,
        jax.nn.one_hot(labels, classes, dtype=p.dtype),
        (labels >= 0) & (labels < classes),
    )


def _mean_over(x: Array, where: Array) -> Array:
    """The mean over the last axis of x [batch, classes] of what `where` marks; 0 for nothing."""
    count = where.sum(-1).astype(x.dtype)
    return jnp.where(where, x, 0).sum(-1) / jnp.maximum(count, 1)
