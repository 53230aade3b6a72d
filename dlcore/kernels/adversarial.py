"""Losses of two adversaries, a value an example, and the penalty that keeps a critic's slope at
one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

LossKind = Literal["nonsaturating", "hinge", "wasserstein"]


def critic_loss(true: Array, false: Array, kind: LossKind) -> Array:
    """What a critic loses on its scores of true and of forged examples, [batch] each -> [batch],
    dtype kept.

    nonsaturating: softplus(-true) + softplus(false) (Goodfellow et al. 2014, eq. 1); hinge: max(0,
    1 - true) + max(0, 1 + false) (Lim & Ye 2017, eq. 9); wasserstein: false - true (Arjovsky et al.
    2017, eq. 2). Raises ValueError for another game.
    """
    if kind == "nonsaturating":
        return jax.nn.softplus(-true) + jax.nn.softplus(false)
    if kind == "hinge":
        return jax.nn.relu(1 - true) + jax.nn.relu(1 + false)
    if kind == "wasserstein":
        return false - true
    raise ValueError(f"there is no game {kind!r}")


def generator_loss(false: Array, kind: LossKind) -> Array:
    """What a generator loses on the critic's scores of its work, [batch] -> [batch], dtype kept.

    nonsaturating: softplus(-false) (Goodfellow et al. 2014, sec. 3); hinge and wasserstein: -false.
    Raises ValueError for another game.
    """
    if kind == "nonsaturating":
        return jax.nn.softplus(-false)
    if kind in ("hinge", "wasserstein"):
        return -false
    raise ValueError(f"there is no game {kind!r}")


def gradient_penalty(critic: Callable[[Array], Array], x: Array) -> Array:
    """(|gradient of the score by its own example| - 1)^2 (Gulrajani et al. 2017, eq. 3): x [batch,
    ...] -> [batch].

    `critic` maps x to scores [batch], every example for itself. It is differentiated twice when the
    penalty is trained on. The norm is in float32 at least and has a gradient of 0, not NaN, where
    the slope is 0.
    """
    scores, pull = jax.vjp(critic, x)
    (slope,) = pull(jnp.ones_like(scores))
    flat = slope.reshape(len(x), -1).astype(jnp.promote_types(x.dtype, jnp.float32))
    square = (flat * flat).sum(-1)
    norm = jnp.where(square <= 0, 0, jnp.sqrt(jnp.where(square <= 0, 1, square)))
    return ((norm - 1) ** 2).astype(scores.dtype)
