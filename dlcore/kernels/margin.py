"""Logits of margin losses, which demand a margin between the true class and the others."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

_SMALLEST_SQUARED_SINE = 1e-6  # the gradient of the sine is infinite at an angle of 0


def cos_face(
    cosine: Float[Array, "batch classes"],
    label: Integer[Array, " batch"],
    margin: float,
    scale: float,
) -> Float[Array, "batch classes"]:
    """Computes logits scale (cos a - margin) of the true class and scale cos a of the others.

    Args:
        cosine: of the angles between embeddings and class vectors [batch, classes], floating.
        label: true classes [batch], integers.
        margin: subtracted from the cosine of the true class.
        scale: of the logits, the inverse of a temperature.

    Returns:
        Logits for a softmax cross-entropy, shape and dtype of `cosine`.

    Source: Wang et al. 2018 (CosFace), eq. 4.
    """
    return (scale * (cosine - margin * _one_hot(cosine, label))).astype(cosine.dtype)


def arc_face(
    cosine: Float[Array, "batch classes"],
    label: Integer[Array, " batch"],
    margin: float,
    scale: float,
) -> Float[Array, "batch classes"]:
    """Computes logits scale cos(a + margin) of the true class and scale cos a of the others.

    Where a + margin exceeds pi, cos(a + margin) would rise again; there cos a - margin sin(margin)
    continues the decrease, as the authors' code does.

    Args:
        cosine, label, scale: as of `cos_face`.
        margin: added to the angle of the true class, in radians, 0 to pi.

    Returns:
        Logits for a softmax cross-entropy, shape and dtype of `cosine`.

    Raises:
        ValueError: the margin is outside [0, pi].

    Source: Deng et al. 2019 (ArcFace), eq. 3.
    """
    if not 0 <= margin <= math.pi:
        raise ValueError(f"a margin of {margin} radians is outside [0, pi]")
    cos = cosine.astype(jnp.promote_types(cosine.dtype, jnp.float32))
    sine = jnp.sqrt(jnp.maximum(1 - cos * cos, _SMALLEST_SQUARED_SINE))
    moved = cos * math.cos(margin) - sine * math.sin(margin)
    moved = jnp.where(cos > -math.cos(margin), moved, cos - margin * math.sin(margin))
    return (scale * jnp.where(_one_hot(cos, label) > 0, moved, cos)).astype(cosine.dtype)


def _one_hot(cosine: Array, label: Array) -> Array:
    """1 at the true class, else 0, [batch, classes]."""
    return (label[:, None] == jnp.arange(cosine.shape[-1])[None]).astype(cosine.dtype)
