"""Losses of generative adversarial networks, one value per example, and the gradient penalty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

LossKind = Literal["nonsaturating", "hinge", "wasserstein"]


def critic_loss(
    real: Float[Array, " batch"], generated: Float[Array, " batch"], kind: LossKind
) -> Float[Array, " batch"]:
    """Computes the critic's (discriminator's) loss from its scores of real and generated examples.

    Args:
        real: scores of real examples [batch].
        generated: scores of generated examples [batch].
        kind: "nonsaturating": softplus(-real) + softplus(generated) (Goodfellow et al. 2014, eq.
            1); "hinge": max(0, 1 - real) + max(0, 1 + generated) (Lim & Ye 2017, eq. 9);
            "wasserstein": generated - real (Arjovsky et al. 2017, eq. 2).

    Returns:
        Losses [batch], dtype of the scores.

    Raises:
        ValueError: an unknown kind.
    """
    if kind == "nonsaturating":
        return jax.nn.softplus(-real) + jax.nn.softplus(generated)
    if kind == "hinge":
        return jax.nn.relu(1 - real) + jax.nn.relu(1 + generated)
    if kind == "wasserstein":
        return generated - real
    raise ValueError(_unknown(kind))


def generator_loss(generated: Float[Array, " batch"], kind: LossKind) -> Float[Array, " batch"]:
    """Computes the generator's loss from the critic's scores of generated examples.

    Args:
        generated: scores of generated examples [batch].
        kind: "nonsaturating": softplus(-generated) (Goodfellow et al. 2014, sec. 3); "hinge" and
            "wasserstein": -generated.

    Returns:
        Losses [batch], dtype of the scores.

    Raises:
        ValueError: an unknown kind.
    """
    if kind == "nonsaturating":
        return jax.nn.softplus(-generated)
    if kind in ("hinge", "wasserstein"):
        return -generated
    raise ValueError(_unknown(kind))


def _unknown(kind: str) -> str:
    return f"unknown adversarial loss {kind!r}: choose nonsaturating, hinge or wasserstein"


def gradient_penalty(
    critic: Callable[[Array], Array], x: Float[Array, " batch *example"]
) -> Float[Array, " batch"]:
    """Gradient penalty of a critic whose gradient norm differs from 1: (|d score / d x| - 1)^2.

    Training on it differentiates the critic twice. The norm is computed in float32 or wider, and
    where it is 0 its gradient is 0 and not NaN.

    Args:
        critic: maps examples like `x` to scores [batch], each example independently.
        x: the examples at which the gradient is taken [batch, ...], floating.

    Returns:
        Penalties [batch], dtype of the scores.

    Source: Gulrajani et al. 2017, eq. 3.
    """
    scores, pull = jax.vjp(critic, x)
    (slope,) = pull(jnp.ones_like(scores))
    flat = slope.reshape(len(x), -1).astype(jnp.promote_types(x.dtype, jnp.float32))
    square = (flat * flat).sum(-1)
    norm = jnp.where(square <= 0, 0, jnp.sqrt(jnp.where(square <= 0, 1, square)))
    return ((norm - 1) ** 2).astype(scores.dtype)
